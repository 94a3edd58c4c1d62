"""Gives the names of a linked image those that MicroPython's program holds already: any other name lies in the heap.

In: linked trees by path (hardware/link.py). Out: the same trees with short names, and the map short: long for people who debug. Only
names that the image defines itself are changed, everywhere alike; an attribute whose name also stands in a text, or is one of
MicroPython's own, stays. Never gives two things of one kind the same name.

`rom_names.txt` are the names in the program of the unix port; an ESP32 holds nearly all of them too, and a name it does not hold costs it
a few bytes, nothing else.
"""

import ast
import builtins
import keyword
from pathlib import Path
from string import ascii_lowercase, digits

ROM_NAMES = tuple((Path(__file__).parent / "rom_names.txt").read_text().split())
KEPT_NAMES = {"edge.boards.esp32_start:start": "start"}
BOARD_MODULES = ("machine", "network", "esp32", "esp")
ARGUMENTS_MAX = 12


def shorten(files: dict[str, ast.Module]) -> dict[str, str]:
    """Changes the trees; returns {short name: long name}, attributes as `.name`."""
    trees = list(files.values())
    attributes = own_attributes(trees)
    taken = all_names(trees) - attributes
    held = [name for name in ROM_NAMES if name not in taken and is_free(name)]
    arguments, held = held[:ARGUMENTS_MAX], held[ARGUMENTS_MAX:]
    more = [
        a + b for a in ascii_lowercase for b in ascii_lowercase + digits if a + b not in taken and a + b not in ROM_NAMES and is_free(a + b)
    ]
    symbols = sorted({name for tree in trees for name in symbols_in(tree)})
    renamed = {name: KEPT_NAMES.get(name) or new for name, new in zip(symbols, held + more, strict=False)}
    # One name may be both; attributes start from the other end, for in the body of a class both kinds meet.
    changed = dict(zip(sorted(attributes), held[::-1] + more, strict=False))
    if len(renamed) < len(symbols) or len(changed) < len(attributes):
        raise ValueError("more names than there are short ones")
    called_by_name = {node.arg for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    for tree in trees:
        Arguments(arguments, called_by_name).visit(tree)
        Renamer(renamed, changed).visit(tree)
    return {short: name for name, short in renamed.items()} | {"." + short: name for name, short in changed.items()}


def is_free(name: str) -> bool:
    return not (name.startswith("__") or keyword.iskeyword(name) or hasattr(builtins, name) or name in ("const", "micropython"))


def symbols_in(tree: ast.AST) -> set[str]:
    """`module:name` wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(tree):
        for value in (getattr(node, "id", None), getattr(node, "name", None), getattr(node, "attr", None)):
            if isinstance(value, str) and ":" in value:
                found.add(value)
        if isinstance(node, ast.Global):
            found.update(node.names)
    return found


def all_names(trees: list[ast.Module]) -> set[str]:
    """Every name and every text in them."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            for key in ("id", "name", "attr", "arg", "asname", "module"):
                value = getattr(node, key, None)
                if isinstance(value, str):
                    found.update(value.split("."))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def own_attributes(trees: list[ast.Module]) -> set[str]:
    """Attributes that the image defines and that nothing else may be called by."""
    defined: set[str] = set()
    foreign: set[str] = set(ROM_NAMES)
    for tree in trees:
        fields = field_texts(tree)
        on_board = any(imports_board(node) for node in ast.walk(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                defined.update(class_names(node))
            elif isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Store):
                    defined.add(node.attr)
                if on_board:
                    foreign.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                (defined if id(node) in fields else foreign).add(node.value)
            elif isinstance(node, ast.keyword) and node.arg:
                foreign.add(node.arg)
    return {name for name in defined - foreign if ":" not in name and name.isidentifier() and not name.startswith("__")}


def imports_board(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name in BOARD_MODULES for alias in node.names)
    return isinstance(node, ast.ImportFrom) and node.module in BOARD_MODULES


def class_names(node: ast.ClassDef) -> set[str]:
    found: set[str] = set()
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            found.update(target.id for target in statement.targets if isinstance(target, ast.Name))
    return found


def field_texts(tree: ast.Module) -> set[int]:
    """ids of the texts that are names of fields: in namedtuple(…) and __slots__."""
    found: set[int] = set()
    for node in ast.walk(tree):
        values: ast.AST | None = None
        if is_namedtuple(node):
            values = node.args[1]  # type: ignore[attr-defined]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__":
            values = node.value
        found.update(id(text) for text in ast.walk(values) if isinstance(text, ast.Constant)) if values else None
    return found


def is_namedtuple(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "namedtuple"


class Renamer(ast.NodeTransformer):
    """Symbols of the image and its own attributes."""

    def __init__(self, symbols: dict[str, str], attributes: dict[str, str]) -> None:
        self._symbols = symbols
        self._attributes = attributes

    def visit_Module(self, node: ast.Module) -> ast.AST:
        fields = field_texts(node)
        for text in ast.walk(node):
            if isinstance(text, ast.Constant) and id(text) in fields:
                text.value = self._attributes.get(text.value, text.value)
            elif isinstance(text, ast.Assign) and is_namedtuple(text.value):
                text.value.args[0] = ast.Constant("tuple")  # type: ignore[attr-defined] # only for its repr
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._symbols.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self._symbols.get(node.attr) or self._attributes.get(node.attr, node.attr)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._symbols[name] for name in node.names]
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.name = self._symbols.get(node.name, node.name)
        if node.asname == node.name:
            node.asname = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._symbols.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.name = self._symbols.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._symbols.get(node.name, node.name)
        bound = {self._attributes.get(name, name) for name in class_names(node)}
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                statement.name = self._attributes.get(statement.name, statement.name)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    target.id = self._attributes.get(target.id, target.id)  # type: ignore[attr-defined]
        self.generic_visit(node)
        used = {n.id for s in node.body if isinstance(s, ast.Assign) for n in ast.walk(s.value) if isinstance(n, ast.Name)}
        if used & bound:
            raise ValueError(f"{used & bound} would mean something else in a class")
        return node


class Arguments(ast.NodeTransformer):
    """Arguments that no call names: the first of every function is called alike, the second, and so on. Inner functions come first."""

    def __init__(self, names: list[str], called_by_name: set[str]) -> None:
        self._names = names
        self._called_by_name = called_by_name

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        args = node.args
        arguments = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
        inner = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)} - {a.arg for a in arguments}
        own = [a.arg for a in arguments if a.arg not in self._called_by_name]
        shadowed = {
            a.arg for n in ast.walk(node) if n is not node and isinstance(n, ast.arguments) and n is not args for a in inner_args(n)
        }
        free = [name for name in self._names if name not in inner]
        names = dict(zip([name for name in own if name not in shadowed], free, strict=False))
        for child in ast.walk(node):
            if isinstance(child, ast.Name):
                child.id = names.get(child.id, child.id)
        for argument in arguments:
            argument.arg = names.get(argument.arg, argument.arg)
        return node


def inner_args(args: ast.arguments) -> list[ast.arg]:
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
