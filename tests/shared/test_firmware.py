"""shared/firmware: one hash for one set of files, whatever their order."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor
from shared.firmware import firmware_hash
from tests.shared.makers import code_of

DIGEST = sha256(b"file").digest()
PATHS = st.lists(st.sampled_from("abé/-_.Z").map(str), min_size=1, max_size=6).map("".join)


@given(
    st.dictionaries(
        st.sampled_from(["edge/main.py", "edge/a.mpy", "shared/é.py", "shared/cbor.py", "a-b", "a/b", "ab"]),
        st.binary(min_size=32, max_size=32),
    )
)
def test_sorted_bytewise_by_path(files: dict[str, bytes]) -> None:
    entries = list(files.items())
    by_bytes = sorted(entries, key=lambda entry: entry[0].encode())
    wanted = sha256(cbor.encode([list(entry) for entry in by_bytes])).digest()
    assert firmware_hash(entries) == firmware_hash(entries[::-1]) == wanted


@given(PATHS)
def test_paths_that_are_not_relative_are_refused(path: str) -> None:
    if all(part not in ("", ".", "..") for part in path.split("/")):
        assert firmware_hash([(path, DIGEST)]) != firmware_hash([])
    else:
        assert code_of(firmware_hash, [(path, DIGEST)]) == 108


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "./a", "a/../b", "a\\b", "x" * 129, None])
def test_path_refused(path: object) -> None:
    assert code_of(firmware_hash, [(path, DIGEST)]) == 108


def test_the_longest_path_is_allowed_and_no_path_twice() -> None:
    assert len(firmware_hash([("x" * 128, DIGEST)])) == 32
    assert code_of(firmware_hash, [("a", DIGEST), ("b", DIGEST), ("a", bytes(32))]) == 108
    for digest in (DIGEST[:31], DIGEST + b"x", DIGEST.hex()):
        assert code_of(firmware_hash, [("a", digest)]) == 108
