"""README and docs are true: their code runs, their commands are understood, and what they claim is tested somewhere."""

import re
import shlex
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from small_study import ABLATION, make_run, study_file

from skelray import evaluation
from skelray.checks import UserError
from skelray.cli.main import cli
from skelray.cli.studies import list_studies
from skelray.report import text as report
from skelray.results import tables as results
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.run import Run
from skelray.runner.study_file import load_study
from skelray.study.scale import Scale

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
RUN_BY_OTHERS = {"your_data.md"}  # test_data_table runs that page from beginning to end
PLACES = ("studies", "skelray", "tests", "benchmarks", "results", "docs")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.M | re.S)


def commands(page):
    """Every command of the page's bash blocks, as words."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if words := shlex.split(part):
                    yield words


@pytest.fixture(scope="module")
def folder(tmp_path_factory, synthetic_data):
    """A working folder as the pages have it: generated data, raw files of one's own, and the table of a small study."""
    made = tmp_path_factory.mktemp("docs")
    shutil.copytree(synthetic_data / "synthetic", made / "data" / "synthetic")
    (made / "raw").mkdir()
    rng = np.random.default_rng(0)
    for subject in range(1, 6):
        for action in ("wave", "sit"):
            np.save(made / "raw" / f"{action}_subject{subject:02}.npy", rng.normal(size=(20, 1, 25, 3)).astype(np.float32))
    run, _ = make_run(study_file(made, ABLATION, "arrangement"), made, made / "data", epochs=1)
    run_inline(run)
    return made


@pytest.mark.parametrize("page", sorted({page for page in PAGES if blocks(page, "python")} - RUN_BY_OTHERS))
def test_the_code_of_a_page_runs(page, folder, monkeypatch):
    """As one file, from top to bottom; a study that it makes is loaded like any study file."""
    monkeypatch.chdir(folder)
    path = folder / f"{page.removesuffix('.md').lower()}_page.py"
    path.write_text("\n\n".join(blocks(page, "python")))
    if "\nstudy = " in path.read_text():
        load_study(path)
    else:
        exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__page__"})


def test_a_study_with_parts_of_ones_own_runs(folder, monkeypatch):
    """docs/extending.md: every arm ends with figures, those of its own evaluation among them."""
    monkeypatch.chdir(folder)
    path = folder / "parts.py"
    path.write_text("\n\n".join(blocks("extending.md", "python")))
    name, study, _ = load_study(path)
    settings = Settings(folder / "data", str(folder / "own"), folder / "own_results", device="cpu")
    changes = (("batch_size", 16), ("dim", 8))
    run_inline(Run(name, study, Scale("synthetic", ("xview",), 1, (0,), changes=changes), settings))
    frame = results.load(name, folder / "own_results")
    assert set(frame["status"]) == {"done"}, [str(error)[:200] for error in set(frame["error"])]
    assert frame.groupby("arm")["metric"].agg(set).map(lambda metrics: {"top1", "spread"} <= metrics).all()
    assert set(frame["arm"]) == {arm.label for arm in study.arms}


def test_a_sweep_with_a_stopping_rule_of_ones_own_runs(folder, monkeypatch):
    """docs/extending.md: every sample ends, and one that was stopped was in the worse half."""
    monkeypatch.chdir(folder)
    path = folder / "rule.py"
    path.write_text("\n\n".join(blocks("extending.md", "python")))
    _, _, module = load_study(path)
    settings = Settings(folder / "data", str(folder / "ruled"), folder / "ruled_results", device="cpu")
    scale = Scale("synthetic", ("xview",), 3, samples=3, changes=(("batch_size", 16), ("dim", 8)))
    run_inline(Run("rule", module.sweep, scale, settings))
    frame = results.load("rule", folder / "ruled_results")
    samples = frame[frame["metric"] == "held_out_top1"]
    assert samples["arm"].nunique() == 3
    assert set(samples["status"]) <= {"done", "stopped"}
    assert set(samples.loc[samples["status"] == "stopped", "epoch"]) <= {1, 2}


def test_a_kind_of_study_of_ones_own_is_planned_and_run_like_any_other(folder, monkeypatch, capsys):
    """docs/extending.md: no command and no runner knows the class."""
    monkeypatch.chdir(folder)
    path = folder / "kind.py"
    path.write_text("\n\n".join([*blocks("extending.md", "python"), "study = without"]))
    small = [
        "--data",
        "data",
        "--benchmark",
        "synthetic",
        "--protocol",
        "xview",
        "--epochs",
        "1",
        "--set",
        "batch_size=16",
        "--set",
        "dim=8",
    ]
    with pytest.raises(UserError, match="only a search has samples"):
        cli.main(["plan", "kind.py", *small, "--samples", "3"], standalone_mode=False)
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(["run", "kind.py", "--inline", "--set", "hidden_channels=2", *small], standalone_mode=False)
    found = capsys.readouterr()
    assert re.findall(r"^\| (all|without \w+) ", found.out, re.M) == ["all", "without BA", "without NA", "without Mask"]
    assert "failed" not in found.err


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_understood(page):
    """Commands and options exist, values are of their kind, scripts and studies are there; nothing is run."""
    for words in commands(page):
        program = words[0].rpartition("/")[2]
        if program == "skelray":
            command, rest = cli, words[1:]
            while isinstance(command, click.Group):
                name, command, rest = command.resolve_command(click.Context(command), rest)
            command.make_context(name, list(rest))
            for word in words[2:]:
                assert not re.fullmatch(r"studies/\w+\.py", word) or (ROOT / word).is_file(), word
        elif program.startswith("python") and words[1].startswith(PLACES):
            source = (ROOT / words[1]).read_text()
            assert all(word in source for word in words if word.startswith("--")), words
        else:
            assert program in ("python", "python3", "pip", "ray"), words


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_to_is_there(page):
    here = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\(([^)#]+)\)", PAGES[page]):
        assert link.startswith("https://") or (here / link).is_file(), link
    for path in re.findall(rf"(?<![\w/.])((?:{'|'.join(PLACES)})/[\w/]+\.(?:py|md|parquet))", PAGES[page]):
        assert (ROOT / path).is_file() or path.startswith(("results/figures", "results/reproduction_")), path


def test_the_readme_is_one_screen_or_so_and_leads_everywhere():
    assert len(PAGES["README.md"].splitlines()) <= 130
    assert {f"docs/{page}" for page in PAGES if page != "README.md"} <= set(re.findall(r"\]\(([^)]+)\)", PAGES["README.md"]))
    for marker in ("run", "test"):
        assert re.search(rf"^<!-- {marker} command -->\n```bash\npython3 [^\n]+\n```$", PAGES["README.md"], re.M)


def test_the_index_of_studies_is_that_of_the_folder():
    rows = dict(re.findall(r"`studies/(\w+)\.py` \|.*\| (\d+) \|$", PAGES["studies.md"], re.M))
    assert {name: int(trials) for name, trials in rows.items()} == {
        one.name: one.trials for one in list_studies(ROOT / "studies")
    }


def test_evaluations_are_called_as_the_page_says():
    rows = re.findall(r"^\| `([A-Z]\w+\(.*\))` \|.*\| `([^`]+)` \|$", PAGES["evaluations.md"], re.M)
    assert len(rows) == 13
    assert [(code, name) for code, name in rows if eval(code, vars(evaluation)).name != name] == []


@pytest.mark.parametrize(
    "study", ["nwucla", "nwucla_methods", "nwucla_evaluations", "nwucla_precision", "nwucla_probe_audit"]
)
def test_the_figures_of_nwucla_are_those_of_the_tables(study):
    """Each mean ± deviation below a study's name is in its table."""
    made = report.report_text(results.load(study, ROOT / "results"))
    page = PAGES["results_nwucla.md"]
    rest = page[page.index(f"results/{study}.parquet") :] + "\n\n"
    figures = re.findall(r"\d+\.\d ± \d+\.\d", rest[: rest.index("\n\n", rest.index("| --"))])
    assert len(figures) >= 4
    assert [figure for figure in figures if figure not in made] == []


def test_the_answer_about_rules_is_what_simulating_them_says():
    """docs/search.md: every row of the table, rounded as there, from the committed curves."""
    from skelray.report import simulation
    from skelray.search.simulate import candidates, simulate

    pools = simulation.trained_curves(*(read("nwucla_rules", ROOT / "results") for read in (results.load, results.curves)))
    answer = PAGES["search.md"].partition("**An answer.**")[2]
    told = dict(re.findall(r"^\| `(\w+\(.*?\))` \| (.*) \|$", answer, re.M))
    rules = [rule for rule in candidates(pools) if simulation.settings_text(rule) in told]
    rows = simulation.simulation_table(simulate(pools, rules), pools, 0.01).rows
    assert {row[0].removesuffix(" *"): " | ".join(row[1:]) for row in rows} == told
    assert len(told) == 8


# What the pages say of behaviour, and the test that holds it.
CLAIMS = {
    "README.md": {
        "what would run, and what it costs; it trains nothing": "test_plan_run_report",
        "started again after a kill, it goes on": "test_killed_anywhere_it_ends_with_the_same_table",
        "detects the format": "test_the_command_needs_no_benchmark",
        "the exit status is 1 if it finds one": "test_the_commands",
        "accuracy and worst confusion of each class": "test_classes_by_hand",
    },
    "studies.md": {
        "An unknown name is\nrefused with those that there are": "test_an_unknown_field_names_those_there_are",
        "the initial weights, the order of the data and the draws": "test_a_fresh_encoder_is_the_same_for_every_method",
        "what each arm differs from the first by": "test_differences_to_the_first_arm_are_paired_by_seed",
        "only on the benchmark and under the protocol": (
            "test_published_numbers_stand_beside_their_own_benchmark_and_protocol_only"
        ),
        "the sum of the streams' raw scores": "test_scores_are_added_as_they_are",
        "It comes from the store and trains nothing": "test_a_second_run_and_the_streams_study_train_nothing",
        "Optuna's TPE proposes, the published point first": "test_the_published_point_comes_first_and_is_never_stopped",
        "ASHA stops the weak": "test_stopped_samples_were_beaten_at_their_last_rung",
        "both read accuracy on held-out training subjects": "test_searching_never_evaluates_on_the_test_split",
        "for the published setting and for the best sample": "test_a_sweep_reports_its_best_on_the_test_split_once",
        "two labels of one value are refused": "test_choices_that_cannot_be_told_apart_are_refused",
        "A point costs no training": "test_weights_are_chosen_before_any_test_score_is_opened",
        "never changes what an arm names": "test_a_scale_fills_in_a_whole_method_but_never_what_an_arm_is_about",
        "says in which part, where several": "test_a_part_is_named_where_two_have_a_field",
        "refused with the arms' names": "test_every_study_of_the_project_takes_the_readmes_settings_or_says_who_differs",
        "would make one trial of two": "test_no_scale_makes_one_trial_of_two",
        "has an arm for every set of parts": "test_a_factorial_has_every_set_of_parts",
        "trains arms that are the same once": "test_the_projects_factorials_share_what_is_the_same",
        "says how many epochs that saves": "test_a_plan_counts_what_arms_share",
        "which shares out what all of them earn": "test_shapley_is_the_mean_over_all_orders_and_adds_up",
        "the best next change first, each step trained": "test_the_best_next_change_comes_first",
        "the test split is read along the path alone": "test_the_test_split_is_read_along_the_path_alone",
        "of which every field that differs is a change": "test_a_path_between_two_trials_changes_one_field_at_a_time",
        "it ends with the same path": "test_killed_it_ends_with_the_same_path",
        "where two parts change one field": "test_two_parts_of_one_field_are_functions",
        "the whole without each part": "test_leaving_out_and_adding_in_compare_with_the_whole_and_the_base",
        "on data prepared as the paper's": "test_a_run_has_no_published_numbers_beside_other_data_and_says_why_once",
        "and the value of another field": "test_a_number_along_an_axis_says_where_it_stands",
        "All 464 figures of the three papers": "test_every_figure_of_the_papers_stands_in_a_study",
        "what its training takes at\n1000 samples a second": (
            "test_every_other_study_opens_with_its_question_commands_trials_and_cost"
        ),
        "confirmed, contradicted, undecided or not attainable": "test_the_claims_of_the_papers_are_planned",
        "drawn from the table alone": "test_lines_and_bars_show_what_the_table_has",
        "each stream evaluated by itself": "test_streams_apart_are_the_ensemble_of_each_evaluated_alone",
        "so that an ensemble has them side by side": "test_an_ensemble_is_clustered_as_its_streams_side_by_side",
        "where `across` would\nbe a product": "test_a_table_runs_on_its_places_and_not_on_their_product",
        "published numbers then stand in a row": "test_numbers_in_a_row_belong_to_the_places_in_their_order",
        "what an arm changes on one of them": "test_settings_differ_by_benchmark_and_stream",
        "it is shown in its place": "test_a_table_reads_like_the_papers",
        "it enters no mean": "test_published_rows_are_marked_and_enter_no_mean",
        "runs\nonce in a study across single ones": "test_an_arm_of_several_streams_is_fused_already",
        "the number of parameters of the encoder, counted": "test_sizes_of_encoders_are_counted_beside_the_published",
        "A number that no cell of the study has is refused": "test_a_number_without_a_cell_of_its_own_is_refused",
        "stretches\nthe schedule, milestones and the start of mining": "test_a_scale_stretches_the_schedule",
        "takes that of the benchmark": "test_a_backbone_reads_as_many_persons_as_the_benchmark_of_the_scale_has",
        "so the study's own table stays": "test_a_table_is_named_by_what_it_ran_on",
    },
    "search.md": {
        "each arrangement stands there once": "test_as_many_as_there_are_ordered_partitions",
        "a decade below and above its recipe, with mining branches": (
            "test_the_published_cosine_and_l1_lie_inside_with_mining_as_in_their_recipes"
        ),
        "start at the very trial of the paper": "test_a_search_starts_at_the_published_setting",
        "a row for each rung, with how many came": "test_a_row_for_each_rung",
        "what stopping saved in epochs and hours": "test_what_was_spent_and_saved",
        "the importance of each parameter at every rung": (
            "test_importance_stands_for_each_rung_with_conditional_ones_marked"
        ),
        "A rung with fewer than ten says nothing": "test_a_rung_with_few_samples_says_nothing",
        "each figure as PNG, SVG and the CSV": "test_each_figure_shows_what_it_says",
        "it needs neither the store nor the data": "test_a_report_needs_neither_the_data_nor_torch",
        "`done` where the sample went on and `stopped`": "test_a_row_for_each_reading_says_whether_the_sample_went_on",
        "as a study of two arms": "test_the_best_is_an_arm_beside_the_published_one",
        "A part of the study's own is imported from its file": "test_what_has_no_name_to_import_is_refused",
        "rules of your own among them": "test_a_rule_of_ones_own_is_replayed_without_a_change",
        "the nearest curve that is left stands for it": "test_a_sampler_finds_its_way_among_curves",
        "live while the sweep runs": "test_it_answers_with_the_sweeps_trials_and_follows_the_sweep",
        "a request that would write is refused and changes nothing": "test_nothing_that_is_sent_changes_the_ledger",
        "so a search that was killed proposes what it would have": "test_every_sampler_keeps_the_contract",
        "spends no sample": "test_a_suggestion_of_a_trial_that_is_there_spends_no_sample",
        "ends early when its space is used up": "test_a_grid_ends_when_every_point_is_there",
        "The samples on the Pareto front": "test_the_front_has_what_nothing_beats",
        "until it is among the best third there": "test_a_share_of_those_at_a_rung_is_promoted_and_the_others_wait",
        "and then goes on from its checkpoint": "test_a_paused_sample_goes_on_from_its_checkpoint_inline",
        "never made again": "test_a_reading_is_judged_once",
        "costs its sample, and no rung sees it": "test_a_reading_that_is_no_number_costs_its_sample_and_counts_nowhere",
        "tried first and never stopped": "test_the_published_point_comes_first_and_is_never_stopped",
        "raise an error with one sentence": "test_a_rule_that_breaks_it_is_found",
        "a seed that stops stops all": "test_a_rung_judges_the_mean_over_the_seeds_and_a_seed_that_stops_stops_all",
        "with all of these seeds": "test_seeds_a_race_and_finals_across_streams",
        "with a larger budget it goes on as if there had been none": (
            "test_a_budget_ends_a_search_and_a_larger_one_goes_on_as_if_there_had_been_none"
        ),
        "less than the seed noise": "test_a_search_is_stable_when_the_best_has_gained_less_than_the_seed_noise",
        "read-only and follows the ledger": "test_it_follows_a_search_that_goes_on",
        "are shown to TPE as stopped there": "test_the_sampler_learns",
        "A racer that fails is out": "test_a_racer_that_failed_is_out_for_the_run",
        "until the next run lets it try again": "test_a_racer_that_failed_in_an_earlier_run_tries_again",
        "Each ensemble stands there twice": "test_seeds_a_race_and_finals_across_streams",
        "end in the best decile of the space in each": (
            "test_a_rule_finds_the_best_decile_at_under_half_the_epochs_of_random_search"
        ),
        "at any write to the ledger": (
            "test_a_search_killed_at_any_event_of_its_ledger_proposes_judges_and_reports_the_same"
        ),
        "one runs, and the other says so and ends": ("test_of_two_drivers_of_a_sweep_one_runs_and_the_other_says_so"),
        "No trial is made anew": "test_no_trial_is_made_anew_for_a_sample_that_has_not_changed",
        "a late proposal costs what an early one does": ("test_one_more_proposal_or_verdict_looks_at_no_other_sample_again"),
    },
    "data.md": {
        "a folder, a zip, or a folder of zips": "test_folder_zip_and_folder_of_zips_are_the_same",
        "Links are followed": "test_links_are_followed_and_a_dangling_one_is_skipped",
        "Side files and archives are named": "test_side_files_are_named_and_do_not_make_several_formats",
        "the one with ten times the files": "test_the_many_win_and_what_is_beside_them_is_named",
        "`--format` must choose": "test_several_formats_are_one_sentence_and_the_user_chooses",
        "What cannot be read refuses the source": "test_a_folder_that_cannot_be_read_refuses_the_source",
        "ends the command with status 1": "test_a_file_that_cannot_be_opened_is_named_counted_and_told_by_the_exit_status",
        "where a skeleton has no shoulders": "test_a_skeleton_without_shoulders_is_centred",
        "all others keep every frame with someone in it": "test_a_first_person_who_comes_late_cuts_nothing",
        "frames and persons were left out": "test_what_is_left_out_is_counted_and_warned_of",
        "whose subject is not known is in neither split": "test_what_is_unknown_is_in_neither_split",
        "joints that never move": "test_a_stuck_joint_is_named",
        "without running anything in it": "test_a_hostile_or_broken_file_is_one_sentence_and_does_nothing",
        "Arrays that were preprocessed already are kept as they are": "test_what_is_preprocessed_is_not_preprocessed_again",
        "what the source does not tell": "test_what_is_lost_is_said",
        "`prepare` goes on where it was": "test_a_killed_prepare_goes_on",
        "the result does not\ndepend on it": "test_the_result_does_not_depend_on_their_number",
        "never replaced unasked": "test_a_second_source_does_not_replace_the_first",
        "NaN, empty frames, jumps": "test_a_planted_fault_is_found_by_name_the_worst_first",
        "95 sequences of camera 3": "test_real_nwucla_has_camera_2_again_as_camera_3",
        "1320 sequences of 20 actions by 11 people": "test_benchmark_has_its_sizes_and_names",
        "actions that differ only in order": "test_classes_that_differ_in_order_alone",
        "between 50 and 70 % right": "test_nearest_neighbour_on_raw_coordinates_is_neither_blind_nor_enough",
        "kept as float16": "test_half_precision_halves_the_disk_and_is_read_as_float32",
    },
    "evaluations.md": {
        "the settings in which they differ": "test_names_of_evaluations",
        "added to a finished study trains no encoder again": "test_evaluations_of_a_finished_study_train_no_encoder_again",
        "`skelray plan` says so": "test_the_plan_says_that_only_evaluations_remain",
        "whether they are votes": "test_scores_of_a_row_are_its_figures",
        "encoder and training set stay as they are": "test_the_mean_over_severities_is_that_of_each",
        "is the same for every arm and seed": "test_a_corruption_grows_with_its_severity_and_is_the_same_for_everyone",
        "draws tasks of some classes": "test_few_shots_are_drawn_by_the_seed_and_right_where_classes_lie_apart",
        "the expected calibration error": "test_calibration_by_hand",
        "the one that held-out training subjects choose": "test_the_honest_probe_is_chosen_without_the_test_split",
        "the epoch that is best on the test split": "test_best_on_test_is_the_best_epoch_read_and_says_so",
        "drawn per class by the seed, at least one": "test_a_share_of_each_class_and_at_least_one",
        "the same for every arm": "test_labels_are_the_same_for_every_arm_and_grow_with_their_share",
        "`results/figures/<study>/`": "test_pictures_lie_beside_the_tables",
        "extracted once for each data set": "test_the_encoder_is_frozen_and_asked_once_a_sample",
        "Its rows come from the stored scores": "test_an_ensemble_has_rows_as_soon_as_its_streams_have_scores",
        "reads the test split for the published and the chosen weights only": (
            "test_weights_are_chosen_before_any_test_score_is_opened"
        ),
        "tensors and plain containers only": "test_what_is_no_checkpoint_gets_one_sentence_and_runs_no_code",
        "what it found": "test_it_says_what_it_found",
        "because weights do not tell it": "test_what_weights_do_not_tell_is_said_only_where_it_is_so",
        "prints the study that evaluates it": "test_the_study_it_prints_runs_as_it_stands",
        "an id's beginning is enough": "test_the_command_lists_ids_and_shows_classes",
    },
    "running.md": {
        "it then ends with the same table on Ray as with `--inline`": "test_an_ordered_sweep_on_ray_is_the_same_as_inline",
        "Two studies that share a cell share its encoder": "test_two_studies_share_a_cell",
        "run only what is new": "test_added_seeds_and_epochs_run_only_what_is_new",
        "The id covers what a study file's own code reads": "test_what_is_read_changes_the_id",
        "but no comments": "test_a_comment_changes_no_id_and_what_looks_like_one_does",
        "What cannot be followed is refused by name": "test_what_cannot_be_followed_is_refused_by_name",
        "A damaged file costs its own cell": "test_a_damaged_file_of_any_kind_stops_nothing",
        "`--traceback` prints it": "test_a_bug_is_said_to_be_one_and_its_traceback_is_kept_or_shown",
        "it then ends with the same table": "test_an_ordered_sweep_on_ray_is_the_same_as_inline",
        "an ablation ends with the table of a run that was never killed": "test_killed_anywhere_it_ends_with_the_same_table",
        "runs of one ablation share its trials": "test_trials_that_another_process_has_come_after_the_others",
        "A failure costs its own trial alone": "test_a_failure_costs_itself_alone_and_says_why",
        "worker is tried again from the checkpoint": "test_a_lost_worker_costs_an_epoch_at_most",
        "The exit status is 1 where a trial failed": "test_a_failed_trial_makes_the_exit_status_1",
        "The test split is read by the final evaluations alone": "test_searching_never_evaluates_on_the_test_split",
        "an ablation inline and on Ray": "test_the_same_rows_as_inline_to_the_last_digit",
        "a sweep inline, killed or not": "test_a_search_killed_at_any_write_ends_like_one_that_ran_through",
        "the column `device` has the number": "test_the_same_rows_as_inline_to_the_last_digit",
        "a word and its reason": "test_verdicts_by_what_the_seeds_say",
        "how many epochs shared": "test_a_plan_counts_what_arms_share",
        "how many stopping saves at most": "test_a_search_evaluates_its_published_setting_and_its_best_sample",
        "in the frame and the terminal's table from 6 pairs on": (
            "test_the_bca_interval_stands_where_it_is_asked_for_and_seeds_are_enough"
        ),
        "cover: 95 ± 1 % of 2000 simulated studies": "test_the_interval_of_verdicts_covers_and_bca_does_not_at_few_pairs",
        "one needs 6, four need 8": "test_seeds_that_the_sign_flip_test_needs",
        "the cheapest first, and none to one that is not likely": "test_the_cheapest_comes_next_and_the_hopeless_never",
        "which is 5 % over all looks there can be": "test_all_looks_together_spend_the_level",
        "some arm is said to have one in less than": "test_the_false_alarm_rate_stays_at_most_one_in_twenty",
        "The table records the looks and why it ended": "test_seeds_are_added_until_a_contrast_is_decided",
        "an interval over seeds alone and one over seeds and test subjects together": "test_both_intervals_of_stored_scores",
        "else the table says what it lacks": "test_scores_without_subjects_say_what_they_lack",
        "the wider interval covers 93 to 98 %": "test_the_interval_over_seeds_and_subjects_covers",
        "A report ends with what the study has cost": "test_hours_are_counted_once_and_points_cost_what_their_arm_did",
        "or says what it plans": "test_only_what_was_planned_is_tested_and_a_claim_is_answered",
        "with three seeds nothing can pass it": "test_three_seeds_decide_nothing_however_clear",
        '`skelray.verdicts("arrangement")` is the same in pandas': "test_the_command_prints_them_and_a_frame_has_them",
        "each table costs itself alone": "test_a_table_that_cannot_run_costs_itself_alone",
        "within the 95 % prediction interval": "test_each_word_by_hand",
        "is not the same to the last digit": "test_a_number_that_is_not_so_is_told",
        "compared first": "test_what_is_otherwise_here_is_said_first",
        "would drop the seeds that were added": "test_a_plain_run_does_not_drop_added_seeds",
        "Tables of earlier versions are read": "test_tables_from_before_a_version_was_told_are_read_beside_those_of_now",
        "said to be, and is never replaced": "test_a_table_of_a_later_version_says_so_and_is_not_replaced",
        "done stands for failed": "test_a_done_row_stands_for_one_that_failed",
        "where two done rows of one cell differ nothing is written": (
            "test_two_done_rows_that_differ_are_named_and_nothing_is_written"
        ),
        "Each method is also a Trainable": "test_every_method_has_a_trainable",
        "it needs no cluster": "test_the_trainable_by_hand_without_a_cluster",
        "takes the checkpoint of a\ntrial away": "test_a_trial_that_has_ended_leaves_no_checkpoint_where_none_is_kept",
        "best on held-out subjects": "test_of_a_search_the_best_keeps_its_checkpoint_and_of_others_none",
        "prunes a store that has outgrown it": (
            "test_a_store_that_outgrows_its_budget_loses_checkpoints_first_and_says_what_is_left"
        ),
        "What a process works on stays": "test_what_is_not_done_keeps_its_checkpoint",
        "older than a day": "test_encoders_go_that_no_table_names_once_they_are_old",
        "`skelray plan` names trials": "test_a_plan_says_what_would_be_trained_again",
        "takes it away with `--yes`": "test_the_command_shows_first_and_prunes_when_told",
    },
    "report.md": {
        "No request leaves it": "test_no_request_leaves_it",
        "what a page shows of one is kept with the scores": "test_a_sequence_is_played_as_recorded_and_as_each_arm_sees_it",
        "They decide no result": "test_what_fails_of_an_excerpt_costs_nothing",
        "the page says what it lacks": "test_a_page_without_a_store_says_what_it_lacks",
        "the page in the cell": "test_a_notebook_shows_the_page_in_a_frame",
        "a study, a table and verdicts show themselves": "test_studies_and_tables_show_themselves_as_text_in_html",
        "in any other terminal": "test_it_shows_the_table_so_far_what_runs_and_what_failed",
        "the browser reads it again": "test_it_keeps_a_page_that_reads_itself_again_while_the_run_goes",
        "replaces a small file": "test_a_board_passes_on_what_it_hears_and_keeps_it_in_a_file",
        "is said to give no sign": "test_how_a_run_goes_in_words",
        "a trial that is there is left alone": "test_tensorboard_reads_the_curves_back",
        "of a search alone its timeline has the bars": "test_a_page_leaves_the_costs_of_samples_to_their_timeline",
        "make study and page again, of the same store": "test_the_command_that_makes_it_again_has_its_store_and_margin",
        "stay in the folder until": "test_wandb_keeps_runs_offline",
        "A click on a column's head sorts by it": "test_a_click_on_a_head_sorts_by_it_and_another_turns_the_order",
        "reach into the figures": "test_a_filter_reaches_into_the_figures",
        "A label is text, whatever stands in it": "test_hostile_text_is_text",
        "lab/mlflow.db; or the address of a server": "test_mlflow_reads_the_runs_back",
        "has a line of its own": "test_what_varies_within_an_arm_has_a_line_of_its_own",
        "the same bytes for the same numbers": ("test_the_same_numbers_make_the_same_bytes_whatever_the_users_settings_are"),
        "PNG, SVG and the numbers that it shows as CSV": "test_a_figure_is_kept_as_png_svg_and_the_numbers_it_shows",
    },
    "reliability.md": {
        "Checkpoints, encoders and scores\nreach the disk before": (
            "test_what_is_referred_to_is_on_the_disk_before_what_refers_to_it"
        ),
        "**Prepared data is read whole before anything trains,**": "test_damaged_data_is_found_before_anything_trains",
        "the same `skelray prepare` then makes it again": "test_damaged_data_is_prepared_again_by_the_same_command",
        "the others read what was prepared": "test_a_bit_that_flips_is_found_and_prepared_anew",
        "are removed by the next holder": "test_a_ledger_on_s3_is_one_runs_at_a_time",
        "Before Tune let go of the statistics": "test_tune_keeps_next_to_nothing_of_an_attempt_that_has_ended",
        "**Damage is noticed.**": "test_a_bit_that_flips_in_any_file_is_noticed",
        "a damaged table is said to be": "test_a_bit_that_flips_in_a_table_is_noticed",
        "Files from before there were such sums are believed": "test_json_from_before_it_was_sealed_is_read",
        "ends a write in one sentence": "test_a_write_that_fails_leaves_what_was_there",
        "costs no trial: that is said": "test_a_table_that_cannot_be_written_on_the_way_costs_no_trial",
        "neither a clock that jumps by an hour": "test_a_clock_that_jumps_takes_no_claim_and_frees_none",
        "of where it failed": "test_a_failed_row_says_where_and_how_long_it_failed",
        "is refused before anything trains": "test_a_table_of_a_later_version_says_so_and_is_not_replaced",
        "2 more for each epoch that is saved": "test_a_study_on_s3_has_the_rows_of_a_local_one_and_few_requests",
        "where they end in a sentence": "test_a_run_without_credentials_ends_in_one_sentence",
    },
    "cluster.md": {
        "ends `skelray run` with status 143": "test_sigterm_saves_and_ends_with_a_sentence_and_143",
        "A worker that Ray ends for want of memory": "test_what_the_memory_monitor_ends_is_told_as_memory_and_tried_alone",
        "is tried again alone on a node": "test_what_was_short_of_memory_is_tried_again_alone_and_said_to_be",
        "makes the exit status 1": "test_what_is_wrong_says_the_way_to_mend_it_and_the_status_is_1",
        "queued again when preempted": "test_a_job_of_slurm_that_is_preempted_ends_its_study_and_is_queued_again",
        "tested against a fake Slurm": "test_a_job_of_slurm_runs_the_study_on_all_nodes_with_a_token",
        "A file is one request, a checkpoint two": "test_a_write_is_one_request_and_a_checkpoint_two",
        "one that nobody has renewed": "test_a_ticket_from_elsewhere_is_one_while_it_is_renewed",
        "2 more for each epoch that is saved": "test_a_study_on_s3_has_the_rows_of_a_local_one_and_few_requests",
        "lists the studies and how much of each is done": "test_a_study_says_how_much_is_done_and_who_runs_it",
        "who has claimed what": "test_who_works_on_a_trial_is_told_and_not_disturbed",
        "up to four times": "test_a_request_is_made_again_where_the_cause_passes",
        "a missing bucket are said": "test_a_bucket_that_is_not_there_is_said",
        "as with a dead head": "test_an_address_without_a_head_is_said_at_once",
        "wrong token or other versions, one sentence": "test_why_a_cluster_cannot_be_joined_is_one_sentence",
        "A machine that is busy joins slowly": "test_a_busy_machine_joins_a_healthy_cluster",
        "whatever `RAY_ADDRESS` says": "test_a_run_has_ray_of_its_own_whatever_runs_beside_it",
        "are gone at the end": "test_the_folder_of_ray_is_gone_at_the_end_and_that_of_a_killed_run_too",
        "one that is unfit is set aside": "test_a_node_that_does_not_share_the_store_or_the_data_is_set_aside",
        "skelray to the last line": "test_a_node_whose_skelray_is_another_is_set_aside",
        "its last words too where it is killed": "test_a_lost_worker_costs_an_epoch_at_most",
        "A node that joins later is asked, too": "test_a_node_that_joins_gets_no_trial_before_it_has_answered",
        "All that runs an encoder runs on the nodes": "test_what_is_read_in_the_end_is_read_by_workers",
        "as when it is stopped": "test_a_stopped_worker_costs_an_epoch_and_no_row",
        "20 times the longest before": "test_an_epoch_that_does_not_end_is_ended_and_an_evaluation_is_not",
        "Ctrl-C ends it with 130": "test_a_signal_at_any_moment_ends_in_one_sentence",
        "whose head is lost ends the run in one sentence": "test_a_cluster_that_loses_its_head_ends_the_run_in_one_sentence",
        "What a loss costs is the epoch under way": (
            "test_drivers_workers_and_nodes_that_are_killed_cost_an_epoch_each_and_no_row"
        ),
        "which is kept free for it": "test_a_trial_that_is_to_be_alone_gets_its_node_while_others_keep_coming",
        "with the memory that it took": "test_what_was_short_of_memory_is_tried_again_alone_and_said_to_be",
        "or all of them, cost no row": "test_nodes_that_are_lost_and_come_cost_no_row",
        "is never given up": "test_an_epoch_of_progress_forgets_the_losses_before_it",
        "A trial is done where the store that the driver sees": "test_done_is_believed_only_where_the_store_has_it",
        "waits for a node to join, which is said": "test_where_no_node_holds_a_trial_it_is_said_once_and_when_one_does",
        "refused before anything starts": "test_a_trial_that_no_node_can_hold_is_said_at_once",
        "On a cluster its nodes decide the device": "test_the_cluster_decides_the_device",
        "they travel with the trial": "test_a_lost_worker_costs_an_epoch_at_most",
        "costs the epochs since its last checkpoint": "test_a_lost_worker_costs_an_epoch_at_most",
    },
    "speed.md": {
        "It keeps the figures": "test_figures_of_others_are_kept",
        "with the same draws of dropout": "test_all_forms_are_one_model",
        "The size of one sequence decides": "test_the_size_of_a_sequence_decides_and_the_batch_does_not",
        "forces the plain form": "test_the_argument_and_the_environment_force_a_form",
        "all query views go in one pass": "test_views_together_are_views_apart",
        "nothing in a step waits for the device": "test_no_step_waits_for_its_device",
        "equals the uncut one to the last bit": "test_a_run_cut_and_resumed_is_the_uncut_one_to_the_last_bit",
        "is that of the plain loop": "test_an_epoch_of_the_engine_is_that_of_the_plain_loop",
        "with one line that names what stopped": "test_what_cannot_be_captured_runs_call_by_call_and_says_why",
        "does neither in TF32": "test_a_precision_is_what_it_says",
        "only seed, name, epoch, step and place decide": "test_every_part_of_a_place_changes_what_is_drawn",
        "find the bits that torch finds": "test_the_interpreted_kernels_find_the_bits_that_torch_finds",
        "a rehearsal on a CPU runs every part": "test_a_rehearsal_runs_every_part",
        "are each the trial alone, to the last bit": "test_each_trial_is_the_trial_alone",
        "each lane is the trial alone, to rounding": "test_each_lane_is_the_trial_alone",
        "a lane is filled again while the others go on": "test_a_lane_is_filled_again_and_the_others_go_on",
        "of 8 lanes launch equally many": "test_more_lanes_launch_no_more_operators",
        "its table is that of trials alone": "test_the_table_of_packs_is_that_of_trials_alone",
        "in the lane that it had, to the last bit": "test_a_killed_pack_goes_on_to_the_last_bit",
        "it ends the same to rounding": "test_a_trial_is_the_same_in_any_lane",
        "as gain from it, up to": "test_as_many_lanes_are_taken_as_gain_and_a_run_that_goes_on_has_the_same",
        "samples to come are not counted": "test_samples_to_come_are_alike_where_the_space_is",
        "no more lanes than alike trials are left": "test_the_table_of_packs_is_that_of_trials_alone",
        "holds until the run has ended": "test_what_a_run_has_decided_holds_until_it_has_ended",
        "`--per-gpu auto`: up to 64": "test_a_number_of_trials_or_auto_shares_a_gpu",
        "takes them at the published settings": "test_lanes_are_measured_and_kept",
        "says what packs would save": "test_packs_are_reckoned_with_where_lanes_were_measured",
        "costs its lane": "test_a_failing_lane_costs_itself_alone",
        "equal to torch's eight to 1e-12": "test_one_recurrence_is_eight",
        "is offered again half a minute later": "test_a_busy_trial_is_offered_again_after_a_while_and_last",
        "no lane waits for it": "test_a_worker_trains_beside_a_busy_trial_and_waits_for_none",
        "leaves its lane to the next": "test_a_search_on_ray_is_told_of_each_lane_and_stops_it_alone",
        "report and row": "test_each_lane_of_a_pack_on_ray_is_the_trial_alone",
        "Few trials are spread over the GPUs": "test_few_trials_are_spread_over_the_nodes",
        "one that kills its worker is given up alone": "test_one_that_kills_its_worker_is_given_up_alone",
        "its trials share none again": "test_what_memory_a_pack_has_taken_is_none_of_its_trials",
        "its lanes an epoch at most": "test_a_lost_worker_costs_each_lane_an_epoch_at_most",
        "SkeletonCLR 808, HiCLR 1564": "test_lanes_launch_no_more_than_their_ceiling",
        "A test keeps these below ceilings": "test_a_step_launches_no_more_than_its_ceiling",
    },
    "fidelity.md": {
        "are what the code does": "test_what_was_released_differs_in_what_is_known",
        "are what the papers say": "test_the_published_settings",
        "SkeletonCLR itself, trained once": "test_the_parts_of_aimclr_train_no_skeletonclr_again",
        "counts as present in all of it": "test_whether_an_absent_person_counts",
    },
    "extending.md": {
        "it gets an id from its source": "test_what_a_study_defines_brings_its_source_along",
        "runners take it like an ablation": "test_a_kind_of_study_of_ones_own_is_planned_and_run_like_any_other",
    },
    "architecture.md": {
        "no files import each other in a circle": "test_no_files_import_each_other_in_a_circle",
        "Imports point down this list": "test_imports_point_down_the_order",
        "never writes it": "test_the_loss_writes_nothing_but_running_statistics",
        "evaluation need neither Ray nor Optuna": "test_training_and_evaluation_need_neither_ray_nor_optuna",
        "left out of the id at its default": "test_what_is_stored_by_an_older_form_keeps_its_name",
    },
}


@pytest.mark.parametrize("page", CLAIMS)
def test_what_a_page_says_of_behaviour_has_a_test(page):
    tests = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    flat = " ".join(PAGES[page].split())
    assert [claim for claim in CLAIMS[page] if " ".join(claim.split()) not in flat] == []
    assert [test for test in CLAIMS[page].values() if test not in tests] == []


def test_every_page_has_claims_or_is_a_table_of_results():
    assert set(PAGES) - set(CLAIMS) == {"results_nwucla.md", "your_data.md"}
