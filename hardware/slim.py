"""Leaves out of MicroPython images what the device never uses: there code lies in the heap, and heap is dear.

In: Python sources. Out: the same sources with `raise SomeError(code, text)` as `raise SomeError(code, "")` (codes stay: numbers say as
much), and without functions, classes and constants that no device code reaches. Every line stays where it was, so that a traceback names
the right one. On a 64-bit MicroPython the texts alone take twelve kilobytes. Never changes what is left.
"""

import ast
import copy

ROOTS = ("edge/main.py",)
FAMILIES = frozenset(("DecodeError", "VerifyError", "RuleError", "Unavailable"))


def leave_out_texts(source: str) -> str:
    """The slimmer source. Raises SyntaxError for source that does not parse."""
    lines = source.encode().splitlines(keepends=True)  # the tree counts columns in UTF-8 bytes
    for text in reversed(error_texts(ast.parse(source))):
        first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
        before, after = lines[first][: text.col_offset], lines[last][text.end_col_offset :]
        lines[first : last + 1] = [before + b'""' + b"\n" * (last - first) + after]
        lines[first : first + 1] = lines[first].splitlines(keepends=True)
    return b"".join(lines).decode()


def error_texts(tree: ast.AST) -> list[ast.expr]:
    """The text arguments, in the order of the source."""
    found = [node.exc.args[1] for node in ast.walk(tree) if isinstance(node, ast.Raise) and is_our_error(node.exc)]  # type: ignore[union-attr]
    return sorted(found, key=lambda text: (text.lineno, text.col_offset))


def is_our_error(raised: ast.expr | None) -> bool:
    """`raised` is `Family(code, text)`."""
    return isinstance(raised, ast.Call) and isinstance(raised.func, ast.Name) and raised.func.id in FAMILIES and len(raised.args) == 2


def slim_sources(sources: dict[str, str]) -> dict[str, str]:
    """All device files by path, without error texts and without what no device code reaches from `edge/main.py` and the boards' start.

    A function, class or constant at the top of a file stays if its name stands anywhere in code that stays: by name alone, so that
    too much may stay, never too little. Lines keep their numbers. A file of which nothing stays is left out, but for a package's own.
    Integer constants that only their own file uses become `const`, which the compiler puts in their place.
    """
    trees = {path: ast.parse(text) for path, text in sources.items()}
    kept = reached(trees)
    used = {path: names_in(tree, kept) for path, tree in trees.items()}
    foreign = {path: set[str]().union(*(names for other, names in used.items() if other != path)) for path in trees}
    slim = {}
    for path, text in sources.items():
        gone = [statement for statement in trees[path].body if id(statement) not in kept]
        if len(gone) < len(trees[path].body) or path.endswith("/__init__.py"):
            slim[path] = fold_constants(leave_out_texts(blank(text, gone)), foreign[path])
    return slim


def names_in(tree: ast.Module, kept: set[int]) -> set[str]:
    """Identifiers that what stays of a file uses."""
    return set[str]().union(*(used_names(statement) for statement in tree.body if id(statement) in kept))


def fold_constants(source: str, foreign: set[str]) -> str:
    """`NAME = 5` becomes `_NAME = const(5)` wherever no other file uses the name."""
    tree = ast.parse(source)
    private = {name: value for name, value in integer_constants(tree).items() if name not in foreign}
    edits = [(value.lineno, value.col_offset, value.end_col_offset or 0, b"const(%s)") for value in private.values()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in private and not node.id.startswith("_"):
            edits.append((node.lineno, node.col_offset, node.end_col_offset or 0, b"_%s"))
    lines = source.encode().splitlines(keepends=True)
    for line, start, end, form in sorted(edits, reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:start] + form.replace(b"%s", text[start:end]) + text[end:]
    return b"".join(lines).decode()


def integer_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Top-level names that are given one integer, once, in one line and in plain digits or simple arithmetic of them."""
    found: dict[str, ast.expr] = {}
    seen: list[str] = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or not isinstance(statement.targets[0], ast.Name):
            continue
        name, value = statement.targets[0].id, statement.value
        if name.isupper() and seen.count(name) == 1 and value.lineno == value.end_lineno and is_small_integer(value):
            found[name] = value
    return found


def is_small_integer(value: ast.expr) -> bool:
    """Of a size that MicroPython keeps without an object on every board: below 2³⁰."""
    if any(not isinstance(node, ast.Constant | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop) for node in ast.walk(value)):
        return False
    number = eval(compile(ast.Expression(value), "constant", "eval"), {"__builtins__": {}})  # noqa: S307 - only literals and operators
    return type(number) is int and abs(number) < 1 << 30


def reached(trees: dict[str, ast.Module]) -> set[int]:
    """ids of the top-level statements that stay."""
    waiting = [(statement, defined_names(statement)) for path, tree in trees.items() for statement in tree.body]
    roots = [statement for path, tree in trees.items() if path in ROOTS or path.startswith("edge/boards/") for statement in tree.body]
    kept, names = {id(statement) for statement in roots}, set[str]().union(*map(used_names, roots))
    while True:
        found = [statement for statement, defined in waiting if id(statement) not in kept and (defined is None or defined & names)]
        if not found:
            return kept
        kept |= {id(statement) for statement in found}
        names |= set[str]().union(*map(used_names, found))


def defined_names(statement: ast.stmt) -> set[str] | None:
    """What a top-level statement makes; None for one that does something besides, which always stays."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        return {target.id for target in statement.targets if isinstance(target, ast.Name)}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return set()
    return None


def used_names(statement: ast.stmt) -> set[str]:
    """Every identifier in it, but for annotations, which MicroPython does not keep."""
    names: set[str] = set()
    for node in ast.walk(without_annotations(statement)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.update(node.name.split("."))
    return names


def without_annotations(statement: ast.stmt) -> ast.stmt:
    bare = copy.deepcopy(statement)
    for node in ast.walk(bare):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return bare


def blank(text: str, statements: list[ast.stmt]) -> str:
    lines = text.splitlines(keepends=True)
    for statement in statements:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        for i in range(first - 1, statement.end_lineno or statement.lineno):
            lines[i] = "\n"
    return "".join(lines)
