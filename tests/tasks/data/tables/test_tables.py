"""Tables of others: no cell and no row changes in silence; what is not clear is named with its row and column."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.data.tables import Columns, read_table

COLUMNS = Columns(
    texts=("path", "text", "id", "speaker", "split"),
    numbers=("start_s", "end_s"),
    needed=("path", "text"),
    aliases={"start": "start_s", "end": "end_s"},
)
NAMES = ["path", "text", "speaker"]


def cells(file: Path) -> list[dict[str, Any]]:
    return [row.cells for row in read_table(file, COLUMNS)]


def texts(file: Path) -> list[Any]:
    return [row.cells["text"] for row in read_table(file, COLUMNS)]


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_a_quote_at_the_beginning_of_a_tsv_cell_swallows_nothing(tmp_path: Path) -> None:
    lines = [f"{i}.wav\t{text}\ta" for i, text in enumerate(['"yes" she said', "two", '"three', 'four"', '"'])]
    assert texts(write(tmp_path / "t.tsv", "\n".join(["path\ttext\tspeaker", *lines]))) == [
        '"yes" she said', "two", '"three', 'four"', '"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        ['a.wav,"one', 'b.wav,two"', "c.wav,three"],
        ['a.wav,"one', "b.wav,two", "c.wav,three"],
        ['a.wav,"one" two', "b.wav,two"],
        ['a.wav,"one', '"b.wav,two"', "c.wav,three"],
        ['"a.wav,one', 'b",two'],
    ],
)
def test_a_quote_in_a_csv_that_swallows_rows_is_an_error(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(ValueError, match=r"t\.csv, .*lines? \d") as raised:
        texts(write(tmp_path / "t.csv", "\n".join(["path,text", *rows])))
    assert len(str(raised.value).splitlines()) == 1


def test_a_cell_may_be_longer_than_the_csv_module_allows_by_itself(tmp_path: Path) -> None:
    assert texts(write(tmp_path / "t.csv", f"path,text\na.wav,{'x' * 200_000}\n")) == ["x" * 200_000]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_strings_stay_what_they_are(tmp_path: Path, suffix: str) -> None:
    words = ["0001", "null", "NA", "7", "nan", "None", "1e5", "true", "7.0"]
    table = pd.DataFrame({"path": words, "text": words})
    file = tmp_path / f"t{suffix}"
    match suffix:
        case ".jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in table.to_dict("records")))
        case ".parquet":
            table.to_parquet(file)
        case _:
            table.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    assert cells(file) == [{"path": w, "text": w} for w in words]


def test_numbers_of_json_are_kept_as_they_are_written(tmp_path: Path) -> None:
    content = '{"path": 1, "text": 7}\n{"path": 2, "text": 7.50}\n{"path": 10000000000000000000001, "text": "x"}\n'
    found = cells(write(tmp_path / "t.jsonl", content))
    assert [(row["path"], row["text"]) for row in found] == [
        ("1", "7"), ("2", "7.50"), ("10000000000000000000001", "x"),
    ]  # fmt: skip


def test_missing_values_are_missing_and_never_a_word(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        {"path": "a", "text": "x", "speaker": "s", "end_s": 1.5},
        {"path": "b", "text": nan, "speaker": nan, "end_s": nan},
        {"path": "c", "text": None, "speaker": None, "end_s": None},
    ]
    expected = [
        {"path": "a", "text": "x", "speaker": "s", "end_s": 1.5},
        *({"path": p, "text": None, "speaker": None, "end_s": None} for p in "bc"),
    ]
    write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.jsonl", "t.parquet", "t.csv"):
        assert cells(tmp_path / name) == expected, name
    pd.DataFrame({"path": ["a"], "text": ["x"], "speaker": [nan]}).to_parquet(tmp_path / "all.parquet")
    assert cells(tmp_path / "all.parquet") == [{"path": "a", "text": "x", "speaker": None}]


@pytest.mark.parametrize(
    ("header", "named", "ours"),
    [
        ("path,text,Speaker", "Speaker", "speaker"),
        ("path,text,Split", "Split", "split"),
        ("path,TEXT,speaker", "TEXT", "text"),
        ("path,text,speakers", "speakers", "speaker"),
        ("path,text, start-s ", "start-s", "start_s"),
        ("path,text,End S", "End S", "end_s"),
        ("filename,text,speaker", "filename", "path"),
        ("file,text,speaker", "file", "path"),
        ("path,sentence,speaker", "sentence", "text"),
        ("path,text,client_id", "client_id", "speaker"),
        ("path,text,spliit", "spliit", "split"),
        ("path,text,sp\u200beaker", "sp.u200beaker", "speaker"),
    ],
)
def test_a_column_that_looks_like_ours_is_an_error_that_says_what_to_call_it(
    tmp_path: Path, header: str, named: str, ours: str
) -> None:
    with pytest.raises(ValueError, match=f"column '{named}' looks like our {ours}, .*call it {ours}"):
        cells(write(tmp_path / "t.csv", f"{header}\na,b,c\n"))
    row = dict(zip(header.split(","), "abc", strict=True))
    with pytest.raises(ValueError, match=f"looks like our {ours}, .*call it {ours}"):
        cells(write(tmp_path / "t.jsonl", json.dumps(row)))


def test_other_columns_are_left_alone(tmp_path: Path) -> None:
    content = "path,text,gender,age,duration_s,file,up_votes\na,b,f,7,1.0,x,2\n"
    assert cells(write(tmp_path / "t.csv", content)) == [{"path": "a", "text": "b"}]


@pytest.mark.parametrize("header", ["path,text,text", "path,text,Text", "path,text,start,start_s", "path,text,path"])
def test_doubled_columns_are_named(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match=r"the columns hold .*: remove one"):
        cells(write(tmp_path / "t.csv", header + "\n" + ",".join("abcd"[: header.count(",") + 1])))
    with pytest.raises(ValueError, match="the columns hold 'text' twice"):
        cells(write(tmp_path / "t.jsonl", '{"path": "a", "text": "b", "text": "c"}'))
    arrays = [pa.array(["a"])] * 3
    pq.write_table(pa.Table.from_arrays(arrays, names=["path", "text", "text"]), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="the columns hold 'text' twice"):
        cells(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"path,text\na,b\nc,d\xfcr\n", r"row 2 \(line 3\), column text: byte 0xfc is not UTF-8"),
        ("t.tsv", b"path\ttext\n\xe4\tb\n", r"row 1 \(line 2\), column path: byte 0xe4"),
        ("t.jsonl", b'{"path": "a", "text": "d\xfcr"}\n', r"row 1, column text: byte 0xfc is not UTF-8"),
        ("t.csv", "path,text\na,b\n".encode("utf-16"), "is UTF-16, not UTF-8: save it as UTF-8"),
        ("t.csv", "path,text\na,b\n".encode("utf-16-le"), "as UTF-16 does: save it as UTF-8"),
        ("t.jsonl", '{"path": "a", "text": "b"}\n'.encode("utf-16"), "is UTF-16, not UTF-8"),
        ("t.jsonl", b'{"path": "a", "text": "\\ud800"}\n', r"row 1, column text: half of a surrogate pair"),
        ("t.jsonl", b'{"path": "a", "text": true}\n', r"row 1, column text: found True, expected text"),
        ("t.jsonl", b'{"path": "a", "text": ["b"]}\n', r"row 1, column text: found \['b'\], expected text"),
        ("t.csv", b"path,text,end_s\na,b,1\nc,d,1_0\n", r"row 2 \(line 3\): end_s '1_0' is no number"),
        ("t.csv", b"path,text,end_s\na,b,inf\n", "end_s 'inf' is no number"),
        ("t.csv", b"path,text,split\na,b\n", "fewer cells than the header: 2 instead of 3; split is missing"),
        ("t.parquet", b"PAR1 but not really", r"cannot be read as \.parquet"),
        ("t.jsonl", b"[" * 100_000, "nested too deeply|is not JSON"),
    ],
)
def test_what_is_wrong_is_named_with_its_row_and_column(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        cells(write(tmp_path / name, content))
    assert len(str(raised.value).splitlines()) == 1


def test_undecodable_and_mistyped_cells_of_parquet_are_named(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"d\xfcr"]).cast(pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.Table.from_arrays([pa.array(["a", "b"]), bad], names=["path", "text"]), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="row 2, column text: byte 0xfc is not UTF-8"):
        cells(tmp_path / "t.parquet")
    pd.DataFrame({"path": ["a", "b"], "text": [7.0, None]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"row 1, column text: found 7\.0, expected text: save the column as text"):
        cells(tmp_path / "t.parquet")


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert cells(write(tmp_path / "t.csv", "\ufeffpath,text\na,b\n")) == [{"path": "a", "text": "b"}]
    assert cells(write(tmp_path / "t.jsonl", '\ufeff{"path": "a", "text": "b"}\n')) == [{"path": "a", "text": "b"}]


def outcome(file: Path) -> int | str:
    """How many rows come out, or the error in its place."""
    try:
        return len(cells(file))
    except ValueError as error:
        return str(error)


STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), max_size=12)
TABLES = st.lists(st.tuples(*[STRINGS] * 3), max_size=8)


def expected(table: list[tuple[str, ...]]) -> list[dict[str, str | None]]:
    return [{name: cell.strip() or None for name, cell in zip(NAMES, row, strict=True)} for row in table]


@settings(max_examples=50, deadline=None)
@given(TABLES)
def test_as_many_rows_and_the_same_cells_come_out_as_went_in(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    lines = [json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=False) for row in table]
    assert cells(write(folder / "t.jsonl", "\n".join(lines))) == expected(table)
    schema = pa.schema([(name, pa.string()) for name in NAMES])
    columns = [pa.array([row[i] for row in table], pa.string()) for i in range(3)]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), folder / "t.parquet")
    assert cells(folder / "t.parquet") == expected(table)
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([NAMES, *table])
    if any("," in cell and ("\n" in cell or "\r" in cell) for row in table for cell in row):
        with pytest.raises(ValueError, match="may have swallowed rows"):
            cells(folder / "t.csv")
    else:
        assert cells(folder / "t.csv") == expected(table)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[ONE_LINE] * 3), max_size=8))
def test_a_line_of_a_tsv_is_a_row_whatever_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]]
) -> None:
    content = "".join("\t".join(row) + "\n" for row in [tuple(NAMES), *table])
    assert cells(write(tmp_path_factory.mktemp("t") / "t.tsv", content)) == expected(table)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.text('ab"', max_size=4), min_size=3, max_size=3), min_size=1, max_size=8))
def test_no_csv_loses_a_row(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]) -> None:
    """Written without any care for quotes: every row comes out, or one line says which does not."""
    content = "".join(",".join(row) + "\n" for row in [NAMES, *table])
    found = outcome(write(tmp_path_factory.mktemp("t") / "t.csv", content))
    assert "line" in found if isinstance(found, str) else found == len(table)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]), st.integers(0, 400), st.binary(max_size=6))
def test_a_damaged_table_is_read_or_refused_in_one_short_line(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, place: int, damage: bytes
) -> None:
    file = tmp_path_factory.mktemp("t") / f"t{suffix}"
    table = pd.DataFrame({"path": ["a.wav", "b.wav"], "text": ['ça, "one"', "two"], "end_s": [1.5, None]})
    if suffix == ".parquet":
        table.to_parquet(file)
    elif suffix == ".jsonl":
        file.write_text(table.to_json(orient="records", lines=True))
    else:
        table.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    content = file.read_bytes()
    place %= len(content)
    file.write_bytes(content[:place] + damage + content[place + len(damage) :])
    found = outcome(file)
    assert isinstance(found, int) or (len(found.splitlines()) == 1 and len(found) < 500 + len(str(file)))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
@pytest.mark.parametrize("longest", ["x" * 9_000, "é" * 700, "Speaker" + "s" * 600])
def test_names_and_cells_of_any_length_end_in_a_line_that_keeps_its_remedy(
    tmp_path: Path, suffix: str, longest: str
) -> None:
    for names, row in (([longest, "other"], ["a", "b"]), (["path", "text", f"{longest}\udcff"], ["a", "b", "c"])):
        if suffix == ".jsonl":
            content = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
        else:
            mark = "," if suffix == ".csv" else "\t"
            content = f"{mark.join(names)}\n{mark.join(row)}\n"
        with pytest.raises(ValueError, match=r"t\.\w+, (row 1|the header)") as raised:
            cells(write(tmp_path / f"t{suffix}", content.encode("utf-8", "surrogateescape")))
        assert len(str(raised.value)) <= 500
        assert str(raised.value).endswith(("save the file as UTF-8", "(or start, end)"))
