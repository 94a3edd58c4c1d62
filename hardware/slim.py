"""One device file as MicroPython needs it: without what it does not keep, does not have or decides before it runs.

In: a syntax tree. Out: the same tree, changed: no annotations, docstrings and texts of errors (codes stay: numbers say as much), no
branch that is for another interpreter. Never changes what the rest does; a viper or native function keeps its annotations, there they
are code.
"""

import ast

FAMILIES = frozenset(("DecodeError", "VerifyError", "RuleError", "Unavailable"))
# What MicroPython has or has not, on the unix port and on the ESP32 alike: asked at run time, it would cost both branches.
HAS = {
    ("gc", "mem_free"): True,
    ("gc", "threshold"): True,
    ("os", "fdopen"): False,
    ("os", "fsync"): False,
    ("time", "ticks_diff"): True,
    ("time", "ticks_ms"): True,
    ("hashlib", "sha512"): False,
}
ABSENT = frozenset(("cryptography", "fcntl", "nacl", "typing"))
EMITTERS = frozenset(("viper", "native"))


def slim_tree(tree: ast.Module) -> ast.Module:
    """Changes the tree of one file and returns it."""
    tree = Bare().visit(tree)
    return ast.fix_missing_locations(fold(tree))


def fold(tree: ast.Module) -> ast.Module:
    """Takes the branches that are decided already."""
    folded: ast.Module = Folder().visit(tree)
    for node in ast.walk(folded):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and statements and isinstance(statements[0], ast.stmt):
                setattr(node, field, until_exit(statements))
            elif field == "body" and statements == [] and not isinstance(node, ast.Module):
                setattr(node, field, [ast.Pass()])
    return folded


def until_exit(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Nothing runs after a `raise`, `return`, `break` or `continue`."""
    for i, statement in enumerate(statements):
        if isinstance(statement, ast.Raise | ast.Return | ast.Break | ast.Continue):
            return statements[: i + 1]
    return [s for s in statements if not isinstance(s, ast.Pass)] or [ast.Pass()]


def is_our_error(raised: ast.expr | None) -> bool:
    """`raised` is `Family(code, text)`."""
    return isinstance(raised, ast.Call) and isinstance(raised.func, ast.Name) and raised.func.id in FAMILIES and len(raised.args) == 2


def is_emitted(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Has a decorator `@micropython.viper` or `@micropython.native`."""
    return any(isinstance(d, ast.Attribute) and d.attr in EMITTERS for d in function.decorator_list)


class Bare(ast.NodeTransformer):
    """Annotations, docstrings and texts of errors go."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not is_emitted(node):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return None if node.value is None else ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and is_our_error(node.exc):
            node.exc.args[1] = ast.Constant("")
        node.cause = None
        return self.generic_visit(node)


class Folder(ast.NodeTransformer):
    """`if`, `x if y else z`, `and`, `or`, `not`, `is None` of what is known; a `try` whose first import cannot succeed."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.copy_location(ast.Constant(not node.operand.value), node)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Only the operands that come first decide: a later one may stand behind an effect."""
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        values = list(node.values)
        while len(values) > 1 and isinstance(values[0], ast.Constant):
            if bool(values[0].value) == decides:
                return values[0]
            values.pop(0)
        return values[0] if len(values) == 1 else ast.copy_location(ast.BoolOp(node.op, values), node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        known = self._known(node)
        return node if known is None else ast.copy_location(ast.Constant(known), node)

    def _known(self, node: ast.Compare) -> bool | None:
        left, right, test = node.left, node.comparators[0], node.ops[0]
        if ast.unparse(left) == "sys.implementation.name" and isinstance(right, ast.Constant):
            same = right.value == "micropython"
            return same if isinstance(test, ast.Eq) else not same
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant) and right.value is None:
            if isinstance(test, ast.Is):
                return left.value is None
            if isinstance(test, ast.IsNot):
                return left.value is not None
        return None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "hasattr" and isinstance(node.args[0], ast.Name):
            name = node.args[1]
            known = HAS.get((node.args[0].id, name.value)) if isinstance(name, ast.Constant) else None
            return node if known is None else ast.copy_location(ast.Constant(known), node)
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Import | ast.ImportFrom) and is_absent(first) and node.handlers:
            return node.handlers[0].body
        return node


def is_absent(statement: ast.Import | ast.ImportFrom) -> bool:
    """An import that fails on every MicroPython."""
    if isinstance(statement, ast.Import):
        return any(alias.name.split(".")[0] in ABSENT for alias in statement.names)
    module = statement.module or ""
    return module.split(".")[0] in ABSENT or any(HAS.get((module, alias.name)) is False for alias in statement.names)
