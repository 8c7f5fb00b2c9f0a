"""A table to be read, as Markdown for a terminal, as CSV with the unrounded numbers, and as LaTeX for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from skelray import markup
from skelray.names import STREAMS
from skelray.report.printable import make_printable

NOTHING = "–"
LATEX = {sign: f"\\{sign}" for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # an arrangement opens with a bracket, and a row's \\ would take it as its argument
    "*": "{*}",  # likewise
    "±": r"$\pm$",
    NOTHING: "--",
}


@dataclass(frozen=True, eq=False)
class Table:
    """A caption, the cells as shown, and the unrounded numbers behind them.

    words: how many leading columns hold words; they are aligned left, the others right.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]
    words: int
    numbers: pd.DataFrame

    def render(self, form: str) -> str:
        """Returns the table as text. form: markdown, csv or latex."""
        return {"markdown": self.markdown, "csv": self.csv, "latex": self.latex}[form]()

    def _repr_html_(self) -> str:
        """Returns the table for a notebook."""
        return markup.html_table(self.caption, self.header, self.rows, self.words)

    def markdown(self) -> str:
        """Returns the caption and a pipe table whose columns line up in a terminal."""
        lines = [[_line(cell).replace("|", r"\|") for cell in line] for line in (self.header, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
        rule = ["-" * (width - 1) + ("-" if place < self.words else ":") for place, width in enumerate(widths)]
        header, *rows = (self._aligned(line, widths) for line in lines)
        return "\n".join([_line(self.caption), "", *(f"| {' | '.join(line)} |" for line in (header, rule, *rows))])

    def csv(self) -> str:
        """Returns the unrounded numbers, accuracies as fractions 0..1."""
        numbers = self.numbers.rename(columns=make_printable)
        for place, kind in enumerate(numbers.dtypes):
            if not pd.api.types.is_numeric_dtype(kind):
                column = numbers.iloc[:, place].astype(object)
                told = [make_printable(cell) if isinstance(cell, str) else cell for cell in column]
                numbers.isetitem(place, told)
        return numbers.to_csv(index=False, lineterminator="\n")

    def latex(self) -> str:
        """Returns a floating table for the booktabs package."""
        sides = "l" * self.words + "r" * (len(self.header) - self.words)
        header, *rows = (" & ".join(map(escape_latex, line)) + r" \\" for line in (self.header, *self.rows))
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{escape_latex(self.caption)}}}",
                rf"  \begin{{tabular}}{{{sides}}}",
                *(f"    {line}" for line in (r"\toprule", header, r"\midrule", *rows, r"\bottomrule")),
                r"  \end{tabular}",
                r"\end{table}",
            ]
        )

    def _aligned(self, line: list[str], widths: list[int]) -> list[str]:
        return [
            cell.ljust(width) if place < self.words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]


def escape_latex(text: str) -> str:
    """Returns the text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(sign, sign) for sign in _line(text))


def _line(text: str) -> str:
    """Returns the text in one printable line, blanks for its line ends."""
    return make_printable(" ".join(text.split()))


def stream_order(column: pd.Series) -> pd.Series:
    """Returns a key to sort streams by: single ones before several, each in the order in which all are named."""
    return column.map(lambda stream: (stream.count("+"), *(STREAMS.index(s) for s in stream.split("+") if s in STREAMS)))


def percent_text(fraction: float) -> str:
    """Returns an accuracy in percent with one decimal."""
    return NOTHING if pd.isna(fraction) else f"{100 * fraction:.1f}"


def cell_text(value: object, digits: int = 4) -> str:
    """Returns a setting as a cell shows it."""
    if value is None or value != value:
        return NOTHING
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def distinct_cell_texts(values: Sequence[object]) -> list[str]:
    """Settings as the cells of a column show them, with the digits that it takes to tell different ones apart."""
    for digits in range(4, 17):
        cells = [cell_text(value, digits) for value in values]
        if len(set(cells)) == len({NOTHING if value is None or value != value else value for value in values}):
            return cells
    return [cell_text(value) if value is None or value != value else str(value) for value in values]
