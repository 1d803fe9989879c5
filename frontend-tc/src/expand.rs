//! Constants and calls: a file to one whose definitions stand alone.
//!
//! The names that `let` gives are replaced by their values, and each call by the statements of the definition that is
//! called, with the caller's tensors for its own. Other names of that definition get new ones where they mean something
//! to the caller. A size of the called definition becomes a size whose value an [`Item::Bound`] gives.

use std::collections::{BTreeMap, BTreeSet};

use support::{Diagnostic, Span};

use crate::ast::{
    Bound, Call, Clause, Constant, Def, Dim, Expr, ExprKind, File, For, Item, Name, Number, Param, Statement, Type,
};
use crate::parser::MAX_DEPTH;
use crate::sema::MAX_DIAGNOSTICS;

/// Items of one definition, with those of all that it calls.
const MAX_ITEMS: usize = 2_000;
/// Items that calls put into all definitions of a file.
const MAX_INLINED: usize = 10_000;
/// Nodes of the values of all constants, each with the others put in.
const MAX_CONSTANT: usize = 10_000;

/// The first `own` definitions of `file` without constants and calls. What is wrong is reported, and left out.
pub fn expand(file: &File, own: usize, diagnostics: &mut Vec<Diagnostic>) -> File {
    let constants = constants(&file.constants, diagnostics);
    let known: Vec<Def> = file.defs.iter().map(|def| with_constants(def, &constants, diagnostics)).collect();
    let mut by_name: BTreeMap<&str, &Def> = BTreeMap::new();
    for def in &known {
        let first = *by_name.entry(&def.name.text).or_insert(def);
        if first.name.span != def.name.span && diagnostics.len() < MAX_DIAGNOSTICS {
            let message = format!("`{}` is defined twice", def.name.text);
            let error = Diagnostic::error("TC0113", message, def.name.span).also(first.name.span, "first here");
            diagnostics.push(error.help("give one of the two another name"));
        }
    }
    let mut left = MAX_INLINED;
    let defs = known[..own].iter().map(|def| {
        let (used, entities) = words_of(def);
        let stack = vec![def.name.text.clone()];
        let left = &mut left;
        let mut expander = Expander { defs: &by_name, used, entities, items: 0, left, stack, diagnostics };
        let mut def = def.clone();
        def.body = expander.items(&def.body, &mut def.broken);
        def
    });
    File { imports: Vec::new(), constants: file.constants.clone(), defs: defs.collect() }
}

/// What every constant stands for, without other constants in it.
fn constants(all: &[Constant], diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, Expr> {
    let mut known: BTreeMap<String, Expr> = BTreeMap::new();
    let (mut nodes, mut places) = (0, BTreeMap::new());
    for Constant { name, value } in all {
        if let Some(first) = places.insert(name.text.clone(), name.span) {
            let error = Diagnostic::error("TC0119", format!("the constant `{}` is given twice", name.text), name.span);
            diagnostics.push(error.also(first, "first here").help("give one of the two another name"));
            continue;
        }
        let value = substituted(value, &known);
        nodes += size_of(&value);
        if nodes > MAX_CONSTANT || value.depth > MAX_DEPTH {
            let error = Diagnostic::error("TC0009", "the constants are too large with each other put in", name.span);
            diagnostics.push(error.help("write a number"));
            return known;
        }
        if let Some(wrong) = not_constant(&value) {
            let error = Diagnostic::error("TC0120", format!("`{}` is not constant", name.text), wrong);
            diagnostics.push(error.help("a constant is made of numbers and of constants above it"));
            // Nothing more is said about it where it is used.
            let zero = ExprKind::Number(Number { text: "0".into(), whole: Some(0) });
            known.insert(name.text.clone(), Expr::new(zero, name.span));
            continue;
        }
        known.insert(name.text.clone(), value);
    }
    known
}

/// The place of a name or a call.
fn not_constant(expr: &Expr) -> Option<Span> {
    match &expr.kind {
        ExprKind::Name(_) | ExprKind::Call(..) => Some(expr.span),
        _ => expr.children().into_iter().find_map(not_constant),
    }
}

fn size_of(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(size_of).sum::<usize>()
}

/// `expr` with the names that `values` knows replaced. The place of a value is where its name stands.
fn substituted(expr: &Expr, values: &BTreeMap<String, Expr>) -> Expr {
    rewritten(expr, &mut |name, span| values.get(name).map(|value| Expr { span, ..value.clone() }))
}

/// `expr` with names that are no tensors with subscripts replaced where `change` says by what.
pub fn rewritten(expr: &Expr, change: &mut dyn FnMut(&str, Span) -> Option<Expr>) -> Expr {
    let kind = match &expr.kind {
        ExprKind::Name(name) => return change(name, expr.span).unwrap_or_else(|| expr.clone()),
        ExprKind::Number(_) | ExprKind::Bool(_) => return expr.clone(),
        ExprKind::Call(name, arguments) => {
            ExprKind::Call(name.clone(), arguments.iter().map(|e| rewritten(e, change)).collect())
        }
        ExprKind::Cast(to, value) => ExprKind::Cast(*to, Box::new(rewritten(value, change))),
        ExprKind::Unary(op, value) => ExprKind::Unary(*op, Box::new(rewritten(value, change))),
        ExprKind::Binary(op, operands) => {
            ExprKind::Binary(*op, Box::new((rewritten(&operands.0, change), rewritten(&operands.1, change))))
        }
        ExprKind::Select(operands) => ExprKind::Select(Box::new((
            rewritten(&operands.0, change),
            rewritten(&operands.1, change),
            rewritten(&operands.2, change),
        ))),
    };
    Expr::new(kind, expr.span)
}

/// `def` with the constants put in. None of its own names may be a constant's.
fn with_constants(def: &Def, constants: &BTreeMap<String, Expr>, diagnostics: &mut Vec<Diagnostic>) -> Def {
    let mut def = def.clone();
    if constants.is_empty() {
        return def;
    }
    let mut clash = |name: &Name| {
        if constants.contains_key(&name.text) {
            let message = format!("`{}` is a constant of the file and cannot be anything else", name.text);
            diagnostics.push(Diagnostic::error("TC0119", message, name.span).help("use another name"));
        }
    };
    for param in def.inputs.iter_mut().chain(&mut def.outputs) {
        clash(&param.name);
        let dims = param.ty.iter_mut().flat_map(|ty| &mut ty.dims);
        dims.for_each(|dim| *dim = constant_dim(dim, constants));
    }
    let mut edit = Edit {
        expr: &mut |expr| substituted(expr, constants),
        name: &mut |name| {
            clash(name);
            name.clone()
        },
    };
    def.body = def.body.iter().map(|item| edit.item(item)).collect();
    def
}

fn constant_dim(dim: &Dim, constants: &BTreeMap<String, Expr>) -> Dim {
    match dim {
        Dim::Size(name) => match constants.get(&name.text) {
            Some(value) => Dim::Computed(Expr { span: name.span, ..value.clone() }),
            None => dim.clone(),
        },
        Dim::Constant(..) => dim.clone(),
        Dim::Computed(value) => Dim::Computed(substituted(value, constants)),
    }
}

/// A copy of items with other expressions, and other names where something is written or bound.
struct Edit<'a> {
    expr: &'a mut dyn FnMut(&Expr) -> Expr,
    name: &'a mut dyn FnMut(&Name) -> Name,
}

impl Edit<'_> {
    fn item(&mut self, item: &Item) -> Item {
        match item {
            Item::Statement(statement) => Item::Statement(Box::new(self.statement(statement))),
            Item::For(nest) => {
                let For { index, lower, upper, body, span } = &**nest;
                let (index, lower, upper) = ((self.name)(index), (self.expr)(lower), (self.expr)(upper));
                let body = body.iter().map(|item| self.item(item)).collect();
                Item::For(Box::new(For { index, lower, upper, body, span: *span }))
            }
            Item::Call(call) => {
                let Call { targets, def, arguments, span } = &**call;
                let targets = targets.iter().map(|target| (self.name)(target)).collect();
                let arguments = arguments.iter().map(|argument| (self.expr)(argument)).collect();
                Item::Call(Box::new(Call { targets, def: def.clone(), arguments, span: *span }))
            }
            Item::Bound(bound) => {
                let Bound { tensor, ty, written } = &**bound;
                let tensor = (self.name)(tensor);
                let mut dims = Vec::new();
                for dim in &ty.dims {
                    dims.push(match dim {
                        Dim::Size(name) => Dim::Size((self.name)(name)),
                        Dim::Constant(..) => dim.clone(),
                        Dim::Computed(value) => Dim::Computed((self.expr)(value)),
                    });
                }
                let ty = Type { dims, ..ty.clone() };
                Item::Bound(Box::new(Bound { tensor, ty, written: *written }))
            }
        }
    }

    fn statement(&mut self, statement: &Statement) -> Statement {
        let mut clauses = Vec::new();
        for clause in &statement.clauses {
            clauses.push(match clause {
                Clause::Range { index, lower, upper } => {
                    Clause::Range { index: (self.name)(index), lower: (self.expr)(lower), upper: (self.expr)(upper) }
                }
                Clause::Let { name, value } => Clause::Let { name: (self.name)(name), value: (self.expr)(value) },
                Clause::Exists(value) => Clause::Exists((self.expr)(value)),
            });
        }
        let equivalent = statement.equivalent.as_ref();
        Statement {
            target: (self.name)(&statement.target),
            subscripts: statement.subscripts.iter().map(|subscript| (self.expr)(subscript)).collect(),
            assign: statement.assign,
            clauses,
            value: (self.expr)(&statement.value),
            equivalent: equivalent
                .map(|(name, arguments)| (name.clone(), arguments.iter().map(|e| (self.expr)(e)).collect())),
            span: statement.span,
        }
    }
}

/// Puts the statements of called definitions in place of calls.
struct Expander<'a> {
    defs: &'a BTreeMap<&'a str, &'a Def>,
    /// Every word of the caller and of what was put in.
    used: BTreeSet<String>,
    /// Those of them that mean something in every statement: tensors, sizes, indices of loops.
    entities: BTreeSet<String>,
    items: usize,
    /// How many more items calls may put into the definitions of the file.
    left: &'a mut usize,
    /// The definitions that are being put in, outermost first.
    stack: Vec<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Expander<'_> {
    fn items(&mut self, items: &[Item], broken: &mut BTreeSet<String>) -> Vec<Item> {
        let mut all = Vec::new();
        for item in items {
            self.items += 1;
            match item {
                Item::For(nest) => {
                    let body = self.items(&nest.body, broken);
                    all.push(Item::For(Box::new(For { body, ..(**nest).clone() })));
                }
                Item::Call(call) => self.call(call, broken, &mut all),
                Item::Statement(statement) => match self.as_call(statement) {
                    Some(call) => self.call(&call, broken, &mut all),
                    None => all.push(item.clone()),
                },
                Item::Bound(_) => all.push(item.clone()),
            }
        }
        all
    }

    /// `y = f(x)` is a call when `f` is a definition.
    fn as_call(&self, statement: &Statement) -> Option<Call> {
        let ExprKind::Call(def, arguments) = &statement.value.kind else { return None };
        let plain = statement.subscripts.is_empty()
            && statement.clauses.is_empty()
            && statement.assign == crate::ast::Assign { reduction: None, init: false };
        let called = plain && self.defs.contains_key(def.text.as_str()) && !self.used_as_tensor(&def.text);
        called.then(|| Call {
            targets: vec![statement.target.clone()],
            def: def.clone(),
            arguments: arguments.clone(),
            span: statement.span,
        })
    }

    /// A tensor of the caller hides a definition of the same name.
    fn used_as_tensor(&self, name: &str) -> bool {
        let caller = self.stack.first().and_then(|caller| self.defs.get(caller.as_str()));
        caller.is_some_and(|def| def.inputs.iter().chain(&def.outputs).any(|param| param.name.text == name))
    }

    fn call(&mut self, call: &Call, broken: &mut BTreeSet<String>, all: &mut Vec<Item>) {
        let inlined = match self.inlined(call) {
            Ok(items) => items,
            Err(error) => {
                self.diagnostics.extend(error);
                broken.extend(call.targets.iter().map(|target| target.text.clone()));
                return;
            }
        };
        self.stack.push(call.def.text.clone());
        *self.left = self.left.saturating_sub(inlined.len());
        let items = self.items(&inlined, broken);
        self.stack.pop();
        all.extend(items);
    }

    /// The items of the definition that is called; `Err(None)` when what is wrong was reported already.
    fn inlined(&mut self, call: &Call) -> Result<Vec<Item>, Option<Diagnostic>> {
        let error = |code, message: String, span| Some(Diagnostic::error(code, message, span));
        let Some(def) = self.defs.get(call.def.text.as_str()).copied() else {
            let names = self.defs.keys().copied();
            let help = match crate::sema::close::close(&call.def.text, names) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "call a definition of this file, or `import` the file that has it".to_owned(),
            };
            let message = format!("no definition is called `{}`", call.def.text);
            return Err(error("TC0121", message, call.def.span).map(|error| error.help(help)));
        };
        if !def.broken.is_empty() {
            return Err(None);
        }
        if self.stack.contains(&call.def.text) {
            let message = format!("`{}` calls itself, at once or through others", call.def.text);
            let help = "definitions cannot be recursive; a `for` loop repeats statements";
            return Err(error("TC0122", message, call.span).map(|error| error.help(help)));
        }
        for (what, wanted, given) in
            [("input", def.inputs.len(), call.arguments.len()), ("return", def.outputs.len(), call.targets.len())]
        {
            if wanted != given {
                let plural = if wanted == 1 { "" } else { "s" };
                let message = format!("`{}` has {wanted} {what}{plural}, and {given} given", def.name.text);
                let error = error("TC0123", message, call.span).map(|error| error.also(def.name.span, "defined here"));
                return Err(error.map(|error| error.help("give one tensor for each")));
            }
        }
        if self.items > MAX_ITEMS {
            let message = format!("with all that it calls, the definition has more than {MAX_ITEMS} statements");
            return Err(error("TC0009", message, call.span).map(|error| error.help("call less")));
        }
        if *self.left == 0 {
            let message = format!("calls put more than {MAX_INLINED} statements into the definitions of the file");
            return Err(error("TC0009", message, call.span).map(|error| error.help("put a part into another file")));
        }
        self.bodies(call, def)
    }

    fn bodies(&mut self, call: &Call, def: &Def) -> Result<Vec<Item>, Option<Diagnostic>> {
        let mut names: BTreeMap<String, Name> = BTreeMap::new();
        for (input, argument) in def.inputs.iter().zip(&call.arguments) {
            let ExprKind::Name(tensor) = &argument.kind else {
                let message = format!("an argument of `{}` must be a tensor", def.name.text);
                let error = Diagnostic::error("TC0021", message, argument.span);
                return Err(Some(error.help("write the value into a tensor of its own, and give its name")));
            };
            names.insert(input.name.text.clone(), Name { text: tensor.clone(), span: argument.span });
        }
        for (output, target) in def.outputs.iter().zip(&call.targets) {
            names.insert(output.name.text.clone(), target.clone());
        }
        let (words, entities) = words_of(def);
        for word in words {
            if names.contains_key(&word) {
                continue;
            }
            let text = self.fresh(&word, &def.name.text, entities.contains(&word));
            names.insert(word, Name { text, span: call.span });
        }
        let renamed = |name: &Name| match names.get(&name.text) {
            Some(new) => Name { text: new.text.clone(), span: name.span },
            None => name.clone(),
        };
        let mut edit = Edit { expr: &mut |expr| with_names(expr, &names), name: &mut |name| renamed(name) };
        let mut items: Vec<Item> = bounds(&def.inputs, false).map(|bound| edit.item(&bound)).collect();
        let at_call = |item: &mut Item| {
            if let Item::Bound(bound) = item {
                bound.tensor.span = call.span;
            }
        };
        items.iter_mut().for_each(at_call);
        items.extend(def.body.iter().map(|item| edit.item(item)));
        items.extend(bounds(&def.outputs, true).map(|bound| edit.item(&bound)));
        Ok(items)
    }

    /// `word` where it is new to the caller, or with the name of the definition before it, or a number too. An index
    /// belongs to its statement, and may be one of the caller's too.
    fn fresh(&mut self, word: &str, def: &str, is_entity: bool) -> String {
        let candidates = std::iter::once(word.to_owned())
            .chain(std::iter::once(format!("{def}_{word}")))
            .chain((2..).map(|number| format!("{def}_{word}{number}")));
        let taken = if is_entity { &self.used } else { &self.entities };
        let is_new = |name: &String| !taken.contains(name) && !is_reserved(name);
        let fresh = candidates.into_iter().find(is_new).unwrap_or_else(|| word.to_owned());
        if is_entity {
            self.entities.insert(fresh.clone());
        }
        self.used.insert(fresh.clone());
        fresh
    }
}

/// Whether a name is a built-in function's, or a definition would hide it.
fn is_reserved(name: &str) -> bool {
    polyhedral::Builtin::parse(name).is_some()
}

fn bounds(params: &[Param], written: bool) -> impl Iterator<Item = Item> {
    params.iter().filter_map(move |param| {
        let ty = param.ty.clone()?;
        Some(Item::Bound(Box::new(Bound { tensor: param.name.clone(), ty, written })))
    })
}

/// `expr` with tensors, sizes and indices renamed.
fn with_names(expr: &Expr, names: &BTreeMap<String, Name>) -> Expr {
    let text = |name: &str| names.get(name).map_or_else(|| name.to_owned(), |new| new.text.clone());
    let expr = rewritten(expr, &mut |name, span| Some(Expr::new(ExprKind::Name(text(name)), span)));
    calls_renamed(&expr, &text)
}

fn calls_renamed(expr: &Expr, text: &dyn Fn(&str) -> String) -> Expr {
    let go = |e: &Expr| calls_renamed(e, text);
    let kind = match &expr.kind {
        ExprKind::Call(name, arguments) => {
            let name = Name { text: text(&name.text), span: name.span };
            ExprKind::Call(name, arguments.iter().map(go).collect())
        }
        ExprKind::Cast(to, value) => ExprKind::Cast(*to, Box::new(go(value))),
        ExprKind::Unary(op, value) => ExprKind::Unary(*op, Box::new(go(value))),
        ExprKind::Binary(op, operands) => ExprKind::Binary(*op, Box::new((go(&operands.0), go(&operands.1)))),
        ExprKind::Select(operands) => ExprKind::Select(Box::new((go(&operands.0), go(&operands.1), go(&operands.2)))),
        ExprKind::Name(_) | ExprKind::Number(_) | ExprKind::Bool(_) => return expr.clone(),
    };
    Expr::new(kind, expr.span)
}

/// Every name in a definition, without functions and definitions called; and those that are no indices and no names of
/// `where`: tensors, sizes, indices of loops.
fn words_of(def: &Def) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut words = BTreeSet::new();
    let mut entities = BTreeSet::new();
    for param in def.inputs.iter().chain(&def.outputs) {
        entities.insert(param.name.text.clone());
        for dim in param.ty.iter().flat_map(|ty| &ty.dims) {
            match dim {
                Dim::Size(name) => drop(entities.insert(name.text.clone())),
                Dim::Constant(..) => (),
                Dim::Computed(value) => collect_names(value, &mut entities),
            }
        }
    }
    def.body.iter().for_each(|item| collect_words(item, &mut words, &mut entities));
    words.extend(entities.iter().cloned());
    (words, entities)
}

fn collect_words(item: &Item, words: &mut BTreeSet<String>, entities: &mut BTreeSet<String>) {
    match item {
        Item::Statement(statement) => {
            entities.insert(statement.target.text.clone());
            let exprs = statement.subscripts.iter().chain([&statement.value]);
            exprs.for_each(|expr| collect_names(expr, words));
            for clause in &statement.clauses {
                match clause {
                    Clause::Range { index: name, lower, upper } => {
                        words.insert(name.text.clone());
                        collect_names(lower, words);
                        collect_names(upper, words);
                    }
                    Clause::Let { name, value } => {
                        words.insert(name.text.clone());
                        collect_names(value, words);
                    }
                    Clause::Exists(value) => collect_names(value, words),
                }
            }
        }
        Item::For(nest) => {
            entities.insert(nest.index.text.clone());
            collect_names(&nest.lower, words);
            collect_names(&nest.upper, words);
            nest.body.iter().for_each(|item| collect_words(item, words, entities));
        }
        Item::Call(call) => {
            entities.extend(call.targets.iter().map(|target| target.text.clone()));
            call.arguments.iter().for_each(|argument| collect_names(argument, entities));
        }
        Item::Bound(bound) => drop(entities.insert(bound.tensor.text.clone())),
    }
}

fn collect_names(expr: &Expr, words: &mut BTreeSet<String>) {
    if let ExprKind::Name(name) = &expr.kind {
        words.insert(name.clone());
    }
    expr.children().into_iter().for_each(|child| collect_names(child, words));
}
