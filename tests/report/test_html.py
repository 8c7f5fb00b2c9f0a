import gc

import pytest
from click.testing import CliRunner
from headless import Opened, headless
from result_rows import row, seeds

from skelray.cli.main import cli
from skelray.names import HELD_OUT
from skelray.report.html.figures import inline_svg
from skelray.report.html.page import write_page
from skelray.results import tables as results

HOSTILE = "</script><script>document.title='caught'</script><img src=x onerror=document.title='caught'> & $\"'"


def study(folder, name="mine"):
    """Two arms and one of a hostile name under two protocols and two seeds, a failure, a search with a stop; and curves."""
    rows = [
        *seeds(0.70, 0.72, arm="weak", published=0.776),
        *seeds(0.90, 0.95, arm="strong"),
        *seeds(0.50, None, arm=HOSTILE),
        *seeds(0.81, 0.83, arm="weak", protocol="xview", published=0.82),
        row(trial="s0", arm="sample 0", metric=HELD_OUT, evaluation="knn held-out", value=0.4, status="stopped", epoch=100),
        row(trial="s1", arm="sample 1", metric=HELD_OUT, evaluation="knn held-out", value=0.6, cell='{"k": 2}'),
    ]
    curves = [
        {"trial": trial, "epoch": epoch, "metric": metric, "value": 1 / epoch, "seconds": 36.0}
        for trial, last in {"weak/xsub//0": 300, "strong/xsub//1": 300, "s0": 100, "s1": 300}.items()
        for epoch in range(20, last + 1, 20)
        for metric in ("loss", HELD_OUT)
    ]
    results.write_table(name, [one | {"study": name} for one in rows], curves, folder)
    return folder


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = study(tmp_path_factory.mktemp("page") / ("a_folder_" * 9))  # a name that a phone has no room for
    return write_page("mine", folder, None, None)


@pytest.fixture(scope="module")
def browser():
    with headless() as started:
        yield started


@pytest.fixture
def opened(browser, path):
    found = Opened(browser, path)
    yield found
    assert found.complaints == []
    assert found.requests == [f"file://{path}"]  # the page itself, and nothing else
    found.page.close()


def test_no_request_leaves_it(opened):
    """The fixture asks after every test; here something in the page tries."""
    found = opened.page.evaluate("fetch('https://example.org/x').then(() => 'sent', () => 'refused')")
    assert found == "refused"
    assert "Content Security Policy" in opened.complaints.pop(0)
    opened.complaints.clear()


def column(opened, number, table="#table table"):
    return [one.inner_text() for one in opened.page.locator(table).first.locator(f"tbody tr td:nth-child({number})").all()]


def test_a_click_on_a_head_sorts_by_it_and_another_turns_the_order(opened):
    head = opened.page.locator("#table table").first.locator("th").nth(1)
    before = column(opened, 2)
    assert before[0].startswith("71.0")
    head.click()
    assert [text[:4] for text in column(opened, 2)] == ["92.5", "71.0", "50.0"]
    assert head.get_attribute("aria-sort") == "descending"
    head.click()
    assert [text[:4] for text in column(opened, 2)] == ["50.0", "71.0", "92.5"]


def test_filters_of_arm_protocol_seed_and_words(opened):
    rows = "#seeds tbody tr"
    everything = len(opened.texts(rows))
    assert everything == 10
    opened.page.select_option("[name=seed]", label="1")
    assert len(opened.texts(rows)) == 4
    assert "seeds 0, 1" not in opened.texts("#table .caption")[0]  # the table of that seed alone
    assert column(opened, 2, "#table [data-variant='1'] table")[0] == "72.0"
    opened.page.select_option("[name=protocol]", label="xview")
    assert len(opened.texts(rows)) == 1
    assert "xsub linear" not in opened.texts("#table [data-variant='1'] th")
    opened.page.click("#all")
    opened.page.click("summary")
    opened.page.uncheck("[name=arm] >> nth=0")
    assert not any("weak" in text for text in opened.texts(rows))
    opened.page.click("#all")
    opened.page.fill("[name=words]", "STRONG")
    assert len(opened.texts(rows)) == 2
    opened.page.click("#all")
    assert len(opened.texts(rows)) == everything


def test_a_filter_reaches_into_the_figures(opened):
    lines = "#figure-curves svg [data-a='0']"
    assert opened.page.locator(lines).count() >= 1
    opened.page.click("summary")
    opened.page.uncheck("[name=arm] >> nth=0")
    assert not any(one.is_visible() for one in opened.page.locator(lines).all())


def test_hostile_text_is_text(opened):
    assert opened.page.title() == "mine"
    assert any(HOSTILE in text for text in opened.texts("#table td"))
    assert opened.page.locator("main img:not(.kept)").count() == 0
    assert opened.page.locator("main script:not([type='application/json'])").count() == 0


def test_light_and_dark(opened):
    paper = "getComputedStyle(document.querySelector('section')).backgroundColor"
    light = opened.page.evaluate(paper)
    opened.page.emulate_media(color_scheme="dark")
    dark = opened.page.evaluate(paper)
    opened.page.click("#theme")
    assert opened.page.evaluate(paper) == light != dark


def test_a_phone_scrolls_down_and_never_sideways(browser, path):
    opened = Opened(browser, path, viewport={"width": 360, "height": 740})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
    opened.page.close()


def test_on_paper_all_of_a_wide_table_is_there_in_ink_on_white(opened):
    opened.page.set_viewport_size({"width": 720, "height": 1000})
    opened.page.click("#theme")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 720
    ink, paper = (f"getComputedStyle(document.querySelector('section')).{name}" for name in ("color", "backgroundColor"))
    assert opened.page.evaluate(ink) == "rgb(31, 41, 55)"
    assert opened.page.evaluate(paper) == "rgb(255, 255, 255)"


def test_a_search_has_its_figures_on_the_page(opened):
    assert {"history", "timeline"} <= set(opened.texts("#figures figcaption"))


def test_a_phone_keeps_the_arms_in_sight_wherever_a_table_is_scrolled_to(browser, tmp_path):
    """In the paper's table, where settings lead before the arm, and in that of every number, where words follow it."""
    rows = [
        row(arm="weak", stream=one, backbone=f"backbone {one}", epochs=n, trial=f"{one}{n}", evaluation=f"evaluation {k}")
        for one in ("joint", "bone", "motion")
        for n in (100, 300)
        for k in range(6)
    ]
    results.write_table("wide", [one | {"study": "wide"} for one in rows], [], tmp_path)
    shown = Opened(browser, write_page("wide", tmp_path, None, None), viewport={"width": 390, "height": 844})
    for section in ("#table", "#seeds"):
        table = shown.page.locator(f"{section} .wide").last
        frame, keys = table.bounding_box(), table.locator("tbody td.key")
        assert keys.first.inner_text() == "weak"
        assert keys.count() == table.locator("tbody tr").count()  # one a row
        assert table.evaluate("part => part.scrollWidth > 2 * part.clientWidth")
        for share in (0, 0.5, 1):
            table.evaluate("(part, share) => { part.scrollLeft = share * (part.scrollWidth - part.clientWidth) }", share)
            place = keys.first.bounding_box()
            assert frame["x"] <= place["x"]
            assert place["x"] + place["width"] <= frame["x"] + frame["width"] + 1
    shown.page.close()


def test_it_says_what_failed_what_it_costs_and_how_to_make_it_again(opened):
    assert any("diverged" in text and "epoch 3" in text for text in opened.texts("#failures tr"))
    weak = next(text.split("\t") for text in opened.texts("#costs tbody tr") if text.startswith("weak"))
    assert weak[1:5] == ["4", "0.15", "0.0139", "300"]  # 15 epochs of 36 s, 4 evaluations of 12.5 s
    stopped = next(text.split("\t") for text in opened.texts("#costs tbody tr") if text.startswith("sample 0"))
    assert stopped[5] == "200"
    assert "skelray run studies/mine.py" in opened.texts("#provenance pre")


def test_the_command_that_makes_it_again_has_its_store_and_margin(tmp_path):
    results.write_table("mine", [one | {"study": "mine"} for one in seeds(0.7, 0.8)], [], tmp_path)
    (tmp_path / "store").mkdir()
    made = write_page("mine", tmp_path, str(tmp_path / "store"), 0.02).read_text()
    again = f"skelray report mine --html --results {tmp_path}"
    assert f"{again} --store {tmp_path / 'store'} --margin 2</pre>" in made
    assert f"{again}</pre>" in write_page("mine", tmp_path, None, None).read_text()


def test_the_same_tables_make_the_same_page(tmp_path, path):
    again = write_page("mine", study(tmp_path), None, None)
    assert again.read_text().replace(str(tmp_path), "X") == path.read_text().replace(str(path.parent), "X")
    assert {one.suffix for one in (tmp_path / "figures" / "mine").iterdir()} == {".png", ".svg", ".csv"}


def test_the_command_says_where_the_page_is(tmp_path):
    results.write_table("mine", [one | {"study": "mine"} for one in seeds(0.7, 0.8)], [], tmp_path)
    said = CliRunner().invoke(
        cli, ["report", "mine", "--results", str(tmp_path), "--html", str(tmp_path / "sub" / "x.html")]
    )
    assert said.output.startswith(f"{tmp_path / 'sub' / 'x.html'} (0.")
    assert gc.isenabled()  # which it was not meanwhile
    results.write_table("empty", [], [], tmp_path)
    said = CliRunner().invoke(cli, ["report", "empty", "--results", str(tmp_path), "--html"])
    assert "the table of empty is empty" in str(said.exception)


def test_figures_beside_the_tables_are_pictures_that_run_and_load_nothing(browser, tmp_path):
    results.write_table("mine", [one | {"study": "mine"} for one in seeds(0.7, 0.8)], [], tmp_path)
    folder = tmp_path / "figures" / "mine"
    folder.mkdir(parents=True)
    bad = "<script>document.title='caught'</script><image href='https://example.org/x.png' width='9' height='9'/>"
    (folder / "importance_rung.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="50" height="40">{bad}</svg>'
    )
    (folder / "importance_rung.png").write_bytes(b"left out: there is an SVG")
    (folder / "huge.png").write_bytes(bytes(1_000_000))
    shown = Opened(browser, write_page("mine", tmp_path, None, None))
    assert shown.texts("#figures figcaption") == ["importance rung"]
    assert shown.page.locator("#figures img").evaluate("image => image.naturalWidth") == 50
    assert "huge.png is too large for this page" in shown.texts("#figures p")[0]
    assert shown.page.title() == "mine"
    assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == shown.complaints == []
    shown.page.close()


def test_ids_of_two_figures_in_one_page_are_apart():
    svg = '<?xml?><svg width="1pt" height="2pt"><defs><g id="x"/></defs><use xlink:href="#x"/><g id="mark-a3-s0-n7"/></svg>'
    assert inline_svg(svg, "n") == '<svg><defs><g id="n-x"/></defs><use xlink:href="#n-x"/><g data-a="3" data-s="0"/></svg>'


def test_no_label_is_in_the_page_as_it_stands(path):
    text = path.read_text()
    assert text.count("<script") == text.count("</script>")
    assert HOSTILE[:30] not in text
    assert "<img src=x" not in text
