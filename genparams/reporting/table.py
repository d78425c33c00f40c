"""A table for a person to read, in the forms that notebooks, papers and programs take."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genparams.errors import InvalidValue, MissingExtra, ShapeError
from genparams.reporting import layout, markup
from genparams.reporting.cells import Cell, Missing, checked, number_of
from genparams.reporting.shown import Marks, Shown, clean
from genparams.text import brief

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Table:
    """A title, facts in two columns, rows under headers, and notes.

    A cell is a number, a text, `Rounded`, `PValue`, or `Missing(reason)`. A missing number is shown
    as `-`, with its reason among the notes. `str(table)` is plain text of at most 100 columns, and
    notebooks show HTML.

    Args:
        facts: Pairs of a label and a cell.
        headers: The headers of the columns after the first, which has the names of the rows.
        rows: Pairs of a name and as many cells as there are headers.

    Raises:
        ShapeError: a row does not have one cell for each header.
        InvalidValue: a cell is NaN, or nothing that a table shows.

    >>> print(Table("Rates", headers=("rate", "count"), rows=[("a", (0.25, 3)), ("b", (12, 40))]))
    Rates
    <BLANKLINE>
           rate  count
    ------------------
    a   0.25000      3
    b  12           40
    """

    title: str = ""
    facts: Sequence[tuple[str, Cell]] = ()
    headers: Sequence[str] = ()
    rows: Sequence[tuple[str, Sequence[Cell]]] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        facts = tuple((_text(k), checked(v, f"the fact {k!r}")) for k, v in self.facts)
        headers = tuple(map(_text, self.headers))
        rows = tuple((_text(name), _cells(name, cells, headers)) for name, cells in self.rows)
        fields = {"facts": facts, "headers": headers, "rows": rows, "notes": tuple(self.notes)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return layout.plain(self._shown())

    def _repr_html_(self) -> str:
        return markup.html(self._shown())

    def to_latex(self) -> str:
        """The table for LaTeX, with the package booktabs."""
        return markup.latex(self._shown())

    def to_markdown(self) -> str:
        """The table for Markdown, with pipes."""
        return markup.markdown(self._shown())

    def to_frame(self) -> "pandas.DataFrame":
        """The rows as a data frame, with the numbers in full.

        A missing number is NaN, and so is an empty cell among numbers. `frame.attrs` has the title,
        the facts and the notes, which hold the reasons.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("Table.to_frame", "pandas", "pandas") from error
        columns = [_frame_column([cells[j] for _, cells in self.rows]) for j in self._columns()]
        names = [name for name, _ in self.rows]
        frame = pandas.DataFrame(dict(enumerate(columns)), index=pandas.Index(names, dtype="str"))
        frame.columns = pandas.Index(self.headers, dtype="str")
        frame.attrs = self._attributes()
        return frame

    def _attributes(self) -> dict[Hashable, Any]:
        facts = {label: _frame_value(cell) for label, cell in self.facts}
        return {"title": self.title, "facts": facts, "notes": list(self._shown().notes)}

    def _columns(self) -> range:
        return range(len(self.headers))

    def _shown(self) -> Shown:
        marks = Marks(self._cells())
        return Shown(
            title=clean(self.title),
            facts=tuple((clean(label), marks.entry(cell)) for label, cell in self.facts),
            headers=tuple(map(clean, self.headers)),
            rows=tuple((clean(name), tuple(map(marks.entry, cells))) for name, cells in self.rows),
            notes=(*marks.notes, *map(clean, self.notes)),
        )

    def _cells(self) -> Iterator[Cell]:
        yield from (cell for _, cell in self.facts)
        for _, cells in self.rows:
            yield from cells


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"a name in a table is a text, got {brief(value)}")
    return value


def _cells(name: str, cells: Sequence[Cell], headers: Sequence[str]) -> tuple[Cell, ...]:
    if len(cells) != len(headers):
        raise ShapeError(
            f"row {name!r} of the table has {len(cells)} cells for {len(headers)} headers; give "
            "one cell for each header, '' for an empty one"
        )
    pairs = zip(cells, headers, strict=True)
    return tuple(checked(cell, f"row {name!r}, column {header!r}") for cell, header in pairs)


def _frame_column(cells: list[Cell]) -> list[Any]:
    has_numbers = any(not isinstance(cell, str) for cell in cells)
    return [float("nan") if has_numbers and cell == "" else _frame_value(cell) for cell in cells]


def _frame_value(cell: Cell) -> Any:
    if isinstance(cell, Missing):
        return float("nan")
    return cell if isinstance(cell, str) else number_of(cell)
