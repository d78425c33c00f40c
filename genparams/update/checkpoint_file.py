"""The file of a checkpoint: an archive of arrays with a header, which is read with suspicion.

It is an npz file without pickled objects and without compression. Its entry "header" is JSON: the
format and its version, what each part is, the type and shape of each array, and the user's
metadata. The other entries are arrays, named "part/...". The comment at the end of the file is the
SHA-256 of all before it.

A file is read in this order: the directory of the archive; the header, names, types and shapes; the
checksum; the arrays. So nothing large is read, and no memory is taken, for what is not wanted.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from genparams.errors import CheckpointError, GenParamsError, InvalidValue

FORMAT, VERSION = "genparams checkpoint", 2
_DIGEST = 64
"""The length of the checksum in hexadecimal digits."""

ArraysByName = dict[str, np.ndarray]
Form = tuple[str, tuple[int, ...]]
"""The type and the shape of an array, as ("<f8", (3, 2))."""


def write(path: Path, described: Mapping[str, Any], arrays: ArraysByName, metadata: Any) -> None:
    """Write a checkpoint in place of what is there.

    Raises:
        InvalidValue: metadata are not JSON, or a name cannot be kept; no file is touched.
    """
    arrays = {name: _little(array) for name, array in arrays.items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "parts": described,
        "arrays": {name: [a.dtype.str, list(a.shape)] for name, a in arrays.items()},
        "metadata": metadata,
    }
    _replace(path, {"header": np.frombuffer(_as_json(header), np.uint8), **arrays})


def _little(array: np.ndarray) -> np.ndarray:
    """The array as it is kept in a file: rows first, the low byte first."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _as_json(header: dict[str, Any]) -> bytes:
    try:
        _refuse_other_keys(header["metadata"])
        text = json.dumps(header).encode()
        _parsed(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"metadata hold what JSON can: numbers, strings, lists and dictionaries; {error}"
        ) from None
    return text


def _refuse_other_keys(metadata: Any) -> None:
    """Refuse keys that JSON would turn into strings."""
    if isinstance(metadata, Mapping):
        for key, value in metadata.items():
            if not isinstance(key, str):
                raise TypeError(f"a key is a string, got {key!r}")
            _refuse_other_keys(value)
    elif isinstance(metadata, list | tuple):
        for value in metadata:
            _refuse_other_keys(value)


def _replace(path: Path, arrays: ArraysByName) -> None:
    """Write beside the file and rename into its place."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; write the path of a file, {path}/run.npz")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "x+b") as file:
            _write_archive(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name outlasts a loss of power
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write_archive(file: IO[bytes], arrays: ArraysByName) -> None:
    members = [f"{name}.npy" for name in arrays]
    if cut := [name for name in arrays if "\0" in name]:
        raise InvalidValue(
            f"the names of parts and parameters cannot be saved: {cut[0]!r} has a zero in it"
        )
    archive = zipfile.ZipFile(file, "w")
    try:
        for member, array in zip(members, arrays.values(), strict=True):
            with archive.open(member, "w", force_zip64=True) as at:
                np.lib.format.write_array(at, array, version=(1, 0), allow_pickle=False)
        if archive.namelist() != members:
            raise ValueError("an archive cannot hold some of them as they are")
        archive.comment = b"0" * _DIGEST
        archive.close()
    except (ValueError, struct.error) as error:
        raise InvalidValue(f"the names of parts and parameters cannot be saved: {error}") from None
    finally:
        archive.fp = None  # after an error it is not closed, which would raise another error
    digest = _digest(file)
    file.seek(-_DIGEST, os.SEEK_END)
    file.write(digest)


def _digest(file: IO[bytes]) -> bytes:
    """The checksum of a file but for its last bytes, which hold it."""
    found = hashlib.sha256()
    left = file.seek(0, os.SEEK_END) - _DIGEST
    file.seek(0)
    while left > 0 and (block := file.read(min(left, 1 << 20))):
        found.update(block)
        left -= len(block)
    return found.hexdigest().encode()


# --- Reading


class File:
    """An open checkpoint whose directory and header are known to be sound."""

    def __init__(self, path: Path, raw: IO[bytes]):
        self.path, self._raw = path, raw
        self._size = os.fstat(raw.fileno()).st_size
        self._archive = zipfile.ZipFile(raw)
        self._members = self._directory()
        self.header = self._read_header()
        self.forms: dict[str, Form] = {}
        for name, form in self.header["arrays"].items():
            self.forms[name] = self._form(name, form)
        self._check_names()

    def damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} is damaged: {what}")

    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        """The members by name: each once, none compressed, and together no longer than the file."""
        found: dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            if info.filename in found:
                raise self.damaged(f"it has two members {info.filename!r}")
            stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x41
            if not stored or info.compress_size != info.file_size:
                raise self.damaged(f"its member {info.filename!r} is compressed or encrypted")
            found[info.filename] = info
        if sum(info.file_size for info in found.values()) > self._size:
            raise self.damaged("its members are longer than the file")
        if "header.npy" not in found:
            raise CheckpointError(f"{self.path} is not a checkpoint: it has no header")
        return found

    def _read_header(self) -> dict[str, Any]:
        length = self._members["header.npy"].file_size
        text = self._read("header", ("|u1", (self._data_size("header", length),))).tobytes()
        header = _parsed(text)
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise CheckpointError(
                f"{self.path} is not a checkpoint: its header is not one of genparams"
            )
        version = header.get("version")
        if type(version) is not int or version != VERSION:
            raise CheckpointError(
                f"{self.path} has format {version!r} and this version of genparams reads format "
                f"{VERSION}; load it with the version that wrote it"
            )
        if header.keys() != {"format", "version", "parts", "arrays", "metadata"}:
            raise self.damaged(f"its header has the entries {', '.join(header)}")
        parts, arrays, metadata = header["parts"], header["arrays"], header["metadata"]
        if not (isinstance(parts, dict) and all(isinstance(p, dict) for p in parts.values())):
            raise self.damaged("its header does not say what its parts are")
        if not isinstance(arrays, dict):
            raise self.damaged("its header does not say what its arrays are")
        if not isinstance(metadata, dict):
            raise self.damaged("its metadata are no dictionary")
        return header

    def _data_size(self, name: str, length: int) -> int:
        """The bytes of a member's data, from how its header begins."""
        with self._archive.open(self._members[f"{name}.npy"]) as at:
            begin = at.read(10)
        if len(begin) < 10 or begin[:8] != b"\x93NUMPY\x01\x00":
            raise self.damaged(f"its member {name!r} is no array")
        return length - 10 - int.from_bytes(begin[8:], "little")

    def _form(self, name: str, form: Any) -> Form:
        """The form of an array as the header has it, which fits into the member."""
        known = isinstance(form, list) and len(form) == 2 and isinstance(form[0], str)
        if not known or not re.fullmatch(r"\|b1|\|[iu]1|<[iuf]\d+", form[0]):
            raise self.damaged(f"it says that {name!r} is {form!r}")
        text, shape = form
        sizes = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if not sizes or np.dtype(text).str != text:
            raise self.damaged(f"it says that {name!r} is {form!r}")
        if (info := self._members.get(f"{name}.npy")) is None:
            raise self.damaged(f"its array {name!r} is missing")
        if math.prod(shape) * np.dtype(text).itemsize != self._data_size(name, info.file_size):
            raise self.damaged(f"its array {name!r} has not the size that the header says")
        return text, tuple(shape)

    def _check_names(self) -> None:
        expected = {"header.npy", *(f"{name}.npy" for name in self.forms)}
        if unknown := self._members.keys() - expected:
            raise self.damaged(f"it has an unknown member {min(unknown)!r}")
        for name in self.forms:
            if name.partition("/")[0] not in self.header["parts"] or "/" not in name:
                raise self.damaged(f"its array {name!r} belongs to no part")

    def forms_of(self, part: str) -> dict[str, Form]:
        """The forms of the arrays of a part, by their names in it."""
        begin = len(part) + 1
        return {k[begin:]: form for k, form in self.forms.items() if k.startswith(f"{part}/")}

    def _read(self, name: str, form: Form) -> np.ndarray:
        """One array, whose member has the size of its form."""
        data = BytesIO(self._archive.read(self._members[f"{name}.npy"]))
        np.lib.format.read_magic(data)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(data)
        if fortran or (dtype.str, shape) != form:
            raise self.damaged(f"its member {name!r} is not what the header says")
        return np.frombuffer(data.getbuffer()[data.tell() :], dtype).reshape(shape)

    def arrays_of(self, part: str) -> ArraysByName:
        """The arrays of a part, by their names in it."""
        return {k: self._read(f"{part}/{k}", form) for k, form in self.forms_of(part).items()}

    def check_digest(self) -> None:
        """Compare the checksum, which differs if any byte does."""
        if self._archive.comment != _digest(self._raw):
            raise self.damaged("its checksum differs")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[File]:
    """A checkpoint; whatever goes wrong while it is read is a `CheckpointError`."""
    try:
        with open(path, "rb") as raw:
            yield File(path, raw)
    except (FileNotFoundError, GenParamsError):
        raise
    except Exception as error:  # of zipfile, zlib, numpy, json: a damaged file is all of these
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: {what}") from None


def _parsed(text: bytes) -> Any:
    """JSON in which no key comes twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key comes twice")
        return found

    return json.loads(text, object_pairs_hook=unique)
