"""Puts the device's files together into the few that a MicroPython image has: there every file, name and import costs heap.

In: Python sources by path. Out: linked sources by path: `edge/main.py`, `edge/device.py` and one for each part that is loaded when
needed and forgotten (`PARTS`), without what none of them reaches. Never changes what the code does, and stops at what it cannot follow.

A name at the top of a file becomes one of the whole image, `edge.journal:Journal`, until hardware/shorten.py gives it a short one.
Constants are put in their place. The order of files is that of their imports.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from hardware.slim import fold, is_absent, slim_tree

# Parts that are loaded by themselves, and the part that is there by then.
PARTS = {
    "edge.main": None,
    "edge.boards.esp32_start": None,
    "edge.device": None,
    "edge.config": "edge.device",
    "edge.preparation": "edge.device",
    "shared.ed25519": "edge.device",
    "shared.combs": "shared.ed25519",
    "edge.wiring": "edge.device",
    "edge.recovery": "edge.device",
    "edge.sealing": "edge.device",
    "edge.answers": "edge.device",
    "edge.envelopes": "edge.device",
    "edge.evidence": "edge.device",
    "edge.tables": "edge.device",
    "edge.gauge": "edge.device",
    "edge.mqtt_opening": "edge.device",
    "edge.draining": "edge.device",
    "edge.ntp": "edge.device",
    "edge.flash_partition": "edge.device",
}
MAKERS = (
    "edge.preparation",
    "edge.wiring",
    "shared.ed25519",
)  # forgotten, while what they make of classes stays: these belong to the part before
ENTRIES = ("edge.main", "edge.boards.esp32_start")
KEPT_NAMES = ("edge.boards.esp32_start:start",)  # what starts the image from outside
FOLDERS = ("edge", "shared")
INLINE_TEXT_CHARS = 9  # up to here MicroPython keeps a text as a name, once
SMALL = 1 << 30  # an integer that needs no object on any board

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class LinkError(Exception):
    """Code of the device that cannot be followed."""


@dataclass
class Module:
    """A file: what its top names are bound to, its statements."""

    name: str
    tree: ast.Module
    is_package: bool
    own: set[str] = field(default_factory=set)
    imported: dict[str, str] = field(default_factory=dict)  # name: "module" or "module:name" of ours
    outside: set[str] = field(default_factory=set)


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def link_sources(sources: dict[str, str], entries: tuple[str, ...] = ENTRIES) -> dict[str, ast.Module]:
    """Linked trees by path; names of the image are still long."""
    modules = {module_name(path): read_module(path, text) for path, text in sources.items()}
    image = Image(modules)
    for module in modules.values():
        module.tree = Resolver(image, module).visit(module.tree)
    image.put_constants()
    return image.emit(tuple(name for name in entries if name in modules))


def read_module(path: str, text: str) -> Module:
    name = module_name(path)
    module = Module(name, slim_tree(ast.parse(text, path)), path.endswith("/__init__.py"))
    for statement in module.tree.body:
        bind(module, statement)
    return module


def bind(module: Module, statement: ast.stmt) -> None:
    for node in in_scope(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in FOLDERS:
                    raise LinkError(f"{module.name}: import of {alias.name}: use from … import")
                module.outside.add(alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node)
            for alias in node.names:
                if origin is None:
                    module.outside.add(alias.asname or alias.name)
                else:
                    module.imported[alias.asname or alias.name] = origin + ":" + alias.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            module.own.add(node.id)


def in_scope(statement: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement that belong to its own scope, and the definitions in it, but not their insides."""
    yield statement
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | Comprehension):
        return
    for child in ast.iter_child_nodes(statement):
        yield from in_scope(child)


def origin_of(module: Module, node: ast.ImportFrom) -> str | None:
    """The module of ours that it imports from, by its whole name; None for one from outside."""
    if not node.level:
        name = node.module or ""
        return name if name.split(".")[0] in FOLDERS else None
    parts = module.name.split(".")
    package = parts if module.is_package else parts[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join(package + ([node.module] if node.module else []))


class Image:
    """All modules, what their names mean, and which statements define them."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self.modules = modules

    def is_absent(self, origin: str, name: str) -> bool:
        """A file that is not in the image, or that no MicroPython can load."""
        module = self.modules.get(f"{origin}.{name}") or self.modules.get(origin)
        return module is None or any(is_import(s) and is_absent(s) for s in module.tree.body)  # type: ignore[arg-type]

    def follow(self, target: str) -> str:
        """A module's name, or `module:name` where it is defined."""
        while ":" in target:
            origin, name = target.split(":")
            if f"{origin}.{name}" in self.modules:
                return f"{origin}.{name}"
            if origin not in self.modules:
                raise LinkError(f"no device file {origin}")
            module = self.modules[origin]
            if name in module.own:
                return target
            if name not in module.imported:
                raise LinkError(f"{origin} has no {name}")
            target = module.imported[name]
        return target

    # --- constants

    def put_constants(self) -> None:
        """Whatever is given one plain value once is put where it is used, and branches that this decides are taken."""
        for _ in range(3):
            known = self.constants()
            for module in self.modules.values():
                module.tree = fold(Constants(known).visit(module.tree))
        uses = count_names(self.modules)
        texts = {name: value for name, value in self.constants(texts=True).items() if uses.get(name) == 2 or is_short(value)}
        for module in self.modules.values():
            module.tree = fold(Constants(texts).visit(module.tree))

    def constants(self, texts: bool = False) -> dict[str, object]:
        stored: dict[str, int] = {}
        found: dict[str, object] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    stored[node.id] = stored.get(node.id, 0) + 1
            for statement in module.tree.body:
                if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
                    value = value_of(statement.value)
                    plain = value is None or isinstance(value, str | bytes) if texts else is_plain(value)
                    if plain and value is not NOTHING:
                        found[statement.targets[0].id] = value
        return {name: value for name, value in found.items() if stored[name] == 1 and ":" in name}

    # --- parts

    def emit(self, entries: tuple[str, ...]) -> dict[str, ast.Module]:
        """A definition goes to the parts that need it; what a module does besides, to the first that has anything of it."""
        reached = Reached(self, entries)
        order = self.order()
        files: dict[str, ast.Module] = {}
        for part in reached.parts:
            body = [statement for module in order for statement in reached.statements(part, module)]
            files[part.replace(".", "/") + ".py"] = ast.Module(self.imports(part, body, reached), [])
        for tree in files.values():
            ast.fix_missing_locations(tree)
        return files

    def order(self) -> list[str]:
        """Modules after those that they need."""
        found: list[str] = []
        waiting: set[str] = set()

        def add(name: str) -> None:
            if name not in waiting:
                waiting.add(name)
                for target in sorted(needs(self.modules[name])):
                    add(target)
                found.append(name)

        for name in sorted(self.modules):
            add(name)
        return found

    def imports(self, part: str, body: list[ast.stmt], reached: "Reached") -> list[ast.stmt]:
        """The body after its imports: from outside, each once, as far as it is used, then what other parts define."""
        used = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)}
        lines: dict[str, ast.stmt] = {}
        for name in sorted({name.split(":")[0] for statement in body for name in defined_names(statement)} | {part}):
            for statement in self.modules[name].tree.body:
                for alias in statement.names if is_import(statement) else ():  # type: ignore[attr-defined]
                    if (alias.asname or alias.name.split(".")[0]) in used:
                        made = ast.Import([alias]) if isinstance(statement, ast.Import) else ast.ImportFrom(statement.module, [alias], 0)  # type: ignore[attr-defined]
                        lines[ast.unparse(made)] = made
        found = [lines[line] for line in sorted(lines)]
        defined = {name for statement in body for name in defined_names(statement)}
        foreign = sorted(name for name in used if ":" in name and name not in defined)
        for other in sorted({reached.part_of(name, part) for name in foreign}):
            found.append(ast.ImportFrom(other, [ast.alias(name) for name in foreign if reached.part_of(name, part) == other], 0))
        return found + [statement for statement in body if not is_import(statement)]


def before(part: str) -> list[str]:
    """Parts that are there when this one is loaded, the nearest first."""
    earlier = PARTS.get(part)
    return [] if earlier is None else [earlier, *before(earlier)]


def is_ours(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and origin_of(module, node) is not None


def names_of(node: ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names]


def is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def needs(module: Module) -> set[str]:
    """Modules whose names it uses, once resolved."""
    return {node.id.split(":")[0] for node in ast.walk(module.tree) if isinstance(node, ast.Name) and ":" in node.id} - {module.name}


def defined_names(statement: ast.stmt) -> set[str]:
    """Names of the image that a top statement makes."""
    found = set()
    for node in in_scope(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def count_names(modules: dict[str, Module]) -> dict[str, int]:
    uses: dict[str, int] = {}
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name):
                uses[node.id] = uses.get(node.id, 0) + 1
    return uses


NOTHING = object()


def value_of(value: ast.expr) -> object:
    """What a plain expression is; NOTHING for any other."""
    if any(not isinstance(node, ast.Constant | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop) for node in ast.walk(value)):
        return NOTHING
    return eval(compile(ast.fix_missing_locations(ast.Expression(value)), "constant", "eval"), {"__builtins__": {}})  # noqa: S307 - literals


def is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < SMALL)


def is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= INLINE_TEXT_CHARS


class Constants(ast.NodeTransformer):
    def __init__(self, known: dict[str, object]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._known:
            return ast.copy_location(ast.Constant(self._known[node.id]), node)
        return node


class Resolver(ast.NodeTransformer):
    """Gives every use of a top name its whole name, whatever it is called in this file."""

    def __init__(self, image: Image, module: Module) -> None:
        self._image = image
        self._module = module
        self._locals: list[dict[str, str | None]] = []  # in each scope: None, or what an import in it means

    # --- names

    def _target(self, name: str) -> str | None:
        """What a name means here: of ours, else None."""
        for scope in reversed(self._locals):
            if name in scope:
                return scope[name]
        module = self._module
        if name in module.own:
            return f"{module.name}:{name}"
        if name in module.imported:
            return self._image.follow(module.imported[name])
        return None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        target = self._target(node.id)
        if target is None:
            return node
        if ":" not in target:
            if target in PARTS:
                return node
            raise LinkError(f"{self._module.name}: module {target} used as a value")
        return ast.copy_location(ast.Name(target, node.ctx), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            target = self._target(node.value.id)
            if target is not None and ":" not in target:
                name = self._image.follow(f"{target}:{node.attr}")
                if target in PARTS and any(node.value.id in scope for scope in self._locals):
                    return ast.copy_location(ast.Attribute(node.value, name, node.ctx), node)
                return ast.copy_location(ast.Name(name, node.ctx), node)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.Global([f"{self._module.name}:{name}" for name in node.names])

    # --- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(base) for base in node.bases]
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        if not self._locals:
            node.name = f"{self._module.name}:{node.name}"
        bound = {name for statement in node.body for n in in_scope(statement) for name in bound_by(n)}
        for statement in node.body:
            for child in in_scope(statement):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load) and child.id in bound:
                    raise LinkError(f"{self._module.name}: {node.name} uses its own {child.id}")
        # Names bound in a class are attributes; functions in it do not see them.
        node.body = [self._in_class(statement, bound) for statement in node.body]
        return node

    def _in_class(self, statement: ast.stmt, bound: set[str]) -> ast.stmt:
        if isinstance(statement, ast.Assign):
            statement.value = self.visit(statement.value)
            return statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            return self._definition(statement, in_class=True)
        if isinstance(statement, ast.Pass):
            return statement
        raise LinkError(f"{self._module.name}: {ast.unparse(statement)} in a class")

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef, in_class: bool = False) -> ast.FunctionDef | ast.AsyncFunctionDef:
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        if not self._locals and not in_class:
            node.name = f"{self._module.name}:{node.name}"
        self._defaults(node.args)
        self._locals.append(self._names_in(node))
        body = []
        for statement in node.body:
            done = self.visit(statement)
            body += done if isinstance(done, list) else [done] if done is not None else []
        node.body = body or [ast.Pass()]
        self._locals.pop()
        return node

    def _defaults(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(value) for value in args.defaults]
        args.kw_defaults = [value and self.visit(value) for value in args.kw_defaults]

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._defaults(node.args)
        self._locals.append({arg.arg: None for arg in arguments_of(node.args)})
        node.body = self.visit(node.body)
        self._locals.pop()
        return node

    def _comprehension(self, node: Comprehension) -> ast.AST:
        names: dict[str, str | None] = {n.id: None for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self._locals.append(names)
        self.generic_visit(node)
        self._locals.pop()
        return node

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def _names_in(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str | None]:
        names: dict[str, str | None] = {arg.arg: None for arg in arguments_of(function.args)}
        outer: set[str] = set()
        for statement in function.body:
            for node in in_scope(statement):
                if isinstance(node, ast.Global):
                    outer.update(node.names)
                elif isinstance(node, ast.ImportFrom) and (origin := origin_of(self._module, node)):
                    for alias in node.names:
                        names[alias.asname or alias.name] = self._image.follow(f"{origin}:{alias.name}")
                else:
                    names.update(dict.fromkeys(bound_by(node)))
        given = {
            n.id for statement in function.body for n in in_scope(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        if clash := {n for s in function.body for i in in_scope(s) if is_ours(self._module, i) for n in bound_by(i)} & given:
            raise LinkError(f"{self._module.name}: {function.name} imports and sets {clash}")
        return {name: target for name, target in names.items() if name not in outer}

    # --- imports inside functions

    def visit_Try(self, node: ast.Try) -> ast.AST | list[ast.stmt]:
        first = node.body[0] if node.body else None
        origin = origin_of(self._module, first) if isinstance(first, ast.ImportFrom) else None
        if origin and any(self._image.is_absent(origin, name) for name in names_of(first)):  # type: ignore[arg-type]
            return [self.visit(statement) for statement in node.handlers[0].body]
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        origin = origin_of(self._module, node)
        if origin is None:
            return node
        if not self._locals:
            return None
        kept = []
        for alias in node.names:
            target = self._image.follow(f"{origin}:{alias.name}")
            if target in PARTS:
                kept.append(ast.ImportFrom(target.rsplit(".", 1)[0], [ast.alias(target.rsplit(".", 1)[1], alias.asname)], 0))
            elif target.split(":")[0] in PARTS:
                name = alias.asname or alias.name
                kept.append(ast.ImportFrom(target.split(":")[0], [ast.alias(target, name)], 0))
                self._locals[-1][name] = None
        if len(kept) > 1:
            raise LinkError(f"{self._module.name}: one part an import, please: {ast.unparse(node)}")
        return ast.copy_location(kept[0], node) if kept else None


def arguments_of(args: ast.arguments) -> list[ast.arg]:
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]


def bound_by(node: ast.AST) -> list[str]:
    """Names that this node binds in its scope."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        return [node.id]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    return []


class Reached:
    """What stays and in which parts: `parts` in the order they are made, each with the names it defines. A plain function that several
    parts need, and nothing that is there before them, is in each of them; a class is one, and so is what a function may set. Of a class
    those methods stay whose name anything that stays uses as an attribute."""

    def __init__(self, image: Image, entries: tuple[str, ...]) -> None:
        self._image = image
        self._attributes: set[str] = set()
        self._defined = {name: s for module in image.modules.values() for s in module.tree.body for name in defined_names(s)}
        self.parts: dict[str, set[str]] = {}
        self._shared: dict[str, set[str]] = {}  # part: names that parts after it need to be there
        size = -1
        while size != (size := len(self._attributes) + sum(map(len, self._shared.values()))):
            # A method that stays may use further attributes, and what is moved to an earlier part may need more.
            self._place(entries)
            self._share()

    def _place(self, entries: tuple[str, ...]) -> None:
        self.parts = {}
        for entry in entries:
            self._add_part(entry, self._roots(entry))
        while waiting := [part for part in PARTS if part not in self.parts and self._wanted(part)]:
            # The parts before it first; what one loads while it runs is found when it is there.
            part = next(part for part in waiting if not any(earlier in waiting for earlier in before(part)))
            self._add_part(part, self._wanted(part) | self._shared.get(part, set()))

    def _share(self) -> None:
        for part, names in self.parts.items():
            for name in names:
                if self._is_lasting(name):
                    others = [other for other, defined in self.parts.items() if other != part and name in defined]
                    for other in others:
                        self._move(name, [p for p in before(part) if p in before(other)])
                    if part in MAKERS:
                        self._move(name, before(part))

    def _move(self, name: str, parts: list[str]) -> None:
        if not parts:
            raise LinkError(f"two parts need {name}, and none is there before both")
        self._shared.setdefault(parts[0], set()).add(name)

    def _is_lasting(self, name: str) -> bool:
        statement = self._defined[name]
        return isinstance(statement, ast.ClassDef) or any(isinstance(node, ast.Global) for node in ast.walk(statement))

    def _roots(self, entry: str) -> set[str]:
        found = {name for name in KEPT_NAMES if name.startswith(entry + ":")}
        for statement in self._image.modules[entry].tree.body:
            if acts(statement):
                found |= self._uses(statement)
        return found

    def _wanted(self, part: str) -> set[str]:
        """Names of a part that code in other parts takes from it while it runs."""
        found: set[str] = set()
        for names in self.parts.values():
            for name in names:
                for node in self._living(self._defined[name]):
                    target = node.attr if isinstance(node, ast.Attribute) else node.name if isinstance(node, ast.alias) else ""
                    if target.startswith(part + ":"):
                        found.add(target)
        return found

    def _add_part(self, part: str, names: set[str]) -> None:
        there = set[str]().union(*(self.parts.get(earlier, set()) for earlier in before(part)))
        mine: set[str] = set()
        waiting = sorted(names)
        while waiting:
            name = waiting.pop()
            if name not in mine and name not in there and name in self._defined:
                mine.add(name)
                waiting += sorted(self._uses(self._defined[name]))
        self.parts[part] = mine

    def part_of(self, name: str, part: str) -> str:
        """Where a part finds a name that it does not define."""
        return next(earlier for earlier in before(part) if name in self.parts.get(earlier, set()))

    def _uses(self, statement: ast.stmt) -> set[str]:
        names: set[str] = set()
        for node in self._living(statement):
            if isinstance(node, ast.Name) and ":" in node.id:
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and ":" not in node.attr:
                self._attributes.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._attributes.add(node.value)
            elif isinstance(node, ast.Global):
                names.update(node.names)
        return names

    def statements(self, part: str, module: str) -> list[ast.stmt]:
        """Those of a module that stand in a part, as copies."""
        body = self._image.modules[module].tree.body
        defined = set[str]().union(*map(defined_names, body))
        first = next((p for p in self.parts if defined & self.parts[p] or p == module), None)
        found = [s for s in body if defined_names(s) & self.parts[part] or (first == part and acts(s))]
        return [self.prune(copy.deepcopy(statement)) for statement in found]

    def _living(self, node: ast.AST) -> Iterator[ast.AST]:
        yield node
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.ClassDef) and self._is_dead(child)):
                yield from self._living(child)

    def _is_dead(self, child: ast.AST) -> bool:
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name not in self._attributes
        return named and not child.name.startswith("__")  # type: ignore[attr-defined]

    def prune(self, statement: ast.stmt) -> ast.stmt:
        if isinstance(statement, ast.ClassDef):
            statement.body = [s for s in statement.body if not self._is_dead(s)] or [ast.Pass()]
        return statement


def acts(statement: ast.stmt) -> bool:
    """Does something besides defining: stays wherever anything of its file does."""
    defines = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.Import | ast.ImportFrom
    return not isinstance(statement, defines)
