"""policy.json: whom a verifier trusts (SPEC.md section 12).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import samples as s
from tests.independent import text
from tests.independent.book import Book
from tests.independent.proof import GENESIS_HASH, NODE_VKEY, policy
from tests.independent.values import Plain

POLICY = 141


def policy_book() -> Book:
    book = Book("policy", "12. Policy")
    two = (NODE_VKEY, text.vkey("witness.example", s.OTHER_KEY.raw))
    samples = {"one node": ((NODE_VKEY,), None), "one of two nodes": (two, 1), "two of two nodes": (two, 2)}
    for desc, (vkeys, need) in samples.items():
        want = Plain(chain_id=s.CHAIN_ID, genesis=GENESIS_HASH, nodes=list(vkeys), need=need or 1)
        book.good("policy", desc, policy(vkeys=vkeys, need=need).encode(), want)
    for desc, wrong in bad_policies():
        book.bad("policy", desc, wrong.encode() if isinstance(wrong, str) else wrong, POLICY)
    return book


def bad_policies() -> Iterator[tuple[str, str | bytes]]:
    good = policy(need=1)
    genesis = GENESIS_HASH.hex()
    for name in ("format", "chain_id", "genesis"):
        yield f"{name} is missing", "\n".join(line for line in good.split("\n") if not line.startswith(name)) + "\n"
        yield f"{name} twice", good.split("\n", 3)[["format", "chain_id", "genesis"].index(name)] + "\n" + good
    yield "format of version 2", good.replace("policy/1", "policy/2")
    yield "format of an evidence file", good.replace("policy/1", "evidence/1")
    yield "no node", good.split("[[node]]")[0]
    yield "a node without a key", good.split("vkey")[0]
    yield "a node's key that is none", good.replace(NODE_VKEY, NODE_VKEY[:-1])
    yield "a node's key that is a number", good.replace(f'"{NODE_VKEY}"', "1")
    yield "a node's key twice", policy(vkeys=(NODE_VKEY, NODE_VKEY))
    yield "one key under two names", policy(vkeys=(NODE_VKEY, text.vkey("other.example", s.NODE_KEY.raw)))
    yield "an unlisted setting", "trust = true\n" + good
    yield "an unlisted setting of a node", good + "weight = 2\n"
    for what, value in (
        ("0", "0"),
        ("-1", "-1"),
        ("more than there are nodes", "2"),
        ("true", "true"),
        ("a float", "1.0"),
        ("text", '"1"'),
        ("2**32", str(2**32)),
    ):
        yield f"need is {what}", good.replace("need = 1", f"need = {value}")
    for what, value in (
        ("a digit short", genesis[1:]),
        ("a digit long", genesis + "0"),
        ("in capitals", genesis.upper()),
        ("empty", ""),
        ("not hex", "g" + genesis[1:]),
    ):
        yield f"genesis is {what}", good.replace(genesis, value)
    yield "genesis with blanks", good.replace(genesis, genesis[:2] + " " + genesis[2:62] + " ")
    for what, value in (("of 2 characters", "ab"), ("of 41 characters", "a" * 41), ("in capitals", "Vector"), ("empty", "")):
        yield f"chain_id is {what}", good.replace(s.CHAIN_ID + '"', value + '"', 1)
    yield "node is not a list of tables", good.replace("[[node]]", "[node]")
    yield "empty", ""
    yield "not TOML", "format: meterproof/policy/1\n"
    yield "cut off", good[:-3]
    yield "lists nested 1,100 deep", f"{good}x = {'[' * 1100}"
    yield "tables nested 900 deep", f"{good}x = {'{a=' * 900}"
    yield "need has 5,000 digits", good.replace("need = 1", "need = " + "1" * 5000)
    yield "a key of 600 parts", "a." * 600 + "a = 1\n" + good
    yield "a key of 600 parts between strings that hold quotes", '["\\"", {' + "a." * 600 + "a = 1}]\n" + good
    yield "a string of several lines", good.replace(f'"{NODE_VKEY}"', f'"""\n{NODE_VKEY}"""')
    yield "a string in three apostrophes", good.replace(f'"{NODE_VKEY}"', f"'''{NODE_VKEY}'''")
    yield "not UTF-8", good.encode() + b"# \xff\n"


def books() -> list[Book]:
    return [policy_book()]
