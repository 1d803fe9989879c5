//! A machine that runs PTX, one instruction of one thread after the other: what assembles is also right.
//!
//! It knows the instructions that LLVM makes of our kernels, and refuses the others. Every access is inside of one buffer and
//! aligned, threads run in any order between barriers, and what threads share begins with numbers that are none.
//! After the PTX ISA reference (docs.nvidia.com/cuda/parallel-thread-execution).

#![allow(dead_code)]

use std::collections::BTreeMap;

/// Where addresses of the device's buffers begin, and how far they are apart.
const GLOBAL: u64 = 1 << 40;
/// The same for what the threads of a block share; a thread's own memory is behind all of it.
const SHARED: u64 = 1 << 20;
const LOCAL: u64 = 3 << 30;

/// A parsed module.
pub struct Module {
    kernels: BTreeMap<String, Kernel>,
    /// Shared arrays and their bytes; one whose size the launch says has none.
    shared: Vec<(String, Option<usize>)>,
    /// Arrays of the device that begin with contents.
    tables: Vec<(String, Vec<u8>)>,
}

struct Kernel {
    parameters: Vec<String>,
    block: [u32; 3],
    registers: usize,
    local_bytes: usize,
    code: Vec<Instruction>,
}

/// `@!%p1 add.s32 %r1, %r2, 3;`
struct Instruction {
    text: String,
    guard: Option<(usize, bool)>,
    op: Vec<String>,
    operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
enum Operand {
    Register(usize),
    Special(String),
    /// A number with its bits as a float of either width, or as an integer.
    Number(u64),
    Symbol(String),
    /// An address: a register or a symbol, and a distance.
    Memory(Box<Operand>, i64),
    Vector(Vec<Operand>),
    /// An index into the code.
    Label(usize),
}

/// What a kernel is called with.
#[derive(Clone, Copy, Debug)]
pub enum Parameter {
    /// The number of a buffer, and a distance in bytes.
    Buffer(usize, usize),
    Int(i64),
}

impl Module {
    pub fn parse(text: &str) -> Module {
        let mut module = Module { kernels: BTreeMap::new(), shared: Vec::new(), tables: Vec::new() };
        let mut lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix(".visible .entry ") {
                let name = name.trim_end_matches('(').trim_end_matches("()").to_owned();
                let kernel = Kernel::parse(&mut lines, &mut module.shared);
                module.kernels.insert(name, kernel);
            } else if line.contains(".shared ") {
                let (name, size) = array(line);
                module.shared.push((name, (size > 0).then_some(size)));
            } else if line.contains(".global ") {
                module.tables.push(table(line));
            } else {
                let known = ["", ".version", ".target", ".address_size"].iter().any(|known| match *known {
                    "" => line.is_empty(),
                    known => line.starts_with(known),
                });
                assert!(known, "{line}");
            }
        }
        module
    }

    /// Runs a kernel on a grid of blocks. Threads take turns as the seed says.
    pub fn launch(
        &self,
        kernel: &str,
        grid: [u32; 3],
        parameters: &[Parameter],
        dynamic_shared: usize,
        buffers: &mut Vec<Vec<u8>>,
        seed: u64,
    ) {
        let kernel = self.kernels.get(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
        assert_eq!(kernel.parameters.len(), parameters.len());
        let own = buffers.len();
        buffers.extend(self.tables.iter().map(|(_, bytes)| bytes.clone()));
        let mut symbols: BTreeMap<&str, u64> = BTreeMap::new();
        for (at, (name, _)) in self.tables.iter().enumerate() {
            symbols.insert(name, GLOBAL * (own + at + 1) as u64);
        }
        for (name, parameter) in kernel.parameters.iter().zip(parameters) {
            let bits = match *parameter {
                Parameter::Buffer(at, distance) => GLOBAL * (at + 1) as u64 + distance as u64,
                Parameter::Int(value) => value as u64,
            };
            symbols.insert(name, bits);
        }
        for (at, (name, _)) in self.shared.iter().enumerate() {
            symbols.insert(name, SHARED * (at + 1) as u64);
        }
        let sizes: Vec<usize> = self.shared.iter().map(|(_, bytes)| bytes.unwrap_or(dynamic_shared)).collect();
        for number in 0..grid.iter().product::<u32>() {
            let block = [number % grid[0], number / grid[0] % grid[1], number / grid[0] / grid[1]];
            let shared = sizes.iter().map(|bytes| vec![0xff; *bytes]).collect();
            let mut run = Block { kernel, symbols: &symbols, grid, block, buffers, shared, threads: Vec::new() };
            run.run(seed);
        }
        buffers.truncate(own);
    }
}

/// `.shared .align 16 .b8 name[64];`
fn array(line: &str) -> (String, usize) {
    let declared = line.trim_end_matches(';').split_whitespace().last().unwrap();
    let (name, size) = declared.split_once('[').unwrap();
    (name.to_owned(), size.trim_end_matches(']').parse().unwrap_or(0))
}

/// `.global .align 8 .b8 name[16] = {1, 2, …};` or `.b64 name[2] = {…};`
fn table(line: &str) -> (String, Vec<u8>) {
    let (head, contents) = line.trim_end_matches(';').split_once('=').unwrap();
    let (name, size) = array(head.trim());
    let width = if head.contains(".b64") || head.contains(".f64") {
        8
    } else if head.contains(".b32") {
        4
    } else {
        1
    };
    let numbers = contents.trim().trim_matches(|c| c == '{' || c == '}').split(',');
    let mut bytes: Vec<u8> = numbers.flat_map(|text| number(text.trim()).to_le_bytes()[..width].to_vec()).collect();
    bytes.resize(size * width, 0);
    (name, bytes)
}

/// `0f3F800000`, `0d3FF0000000000000`, `-3`, `0x1f`
fn number(text: &str) -> u64 {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    match text.get(..2) {
        Some("0f" | "0d" | "0x") => hex(&text[2..]),
        _ => {
            text.parse::<i64>().map(|value| value as u64).or_else(|_| text.parse()).unwrap_or_else(|_| panic!("{text}"))
        }
    }
}

impl Kernel {
    fn parse<'t>(lines: &mut impl Iterator<Item = &'t str>, shared: &mut Vec<(String, Option<usize>)>) -> Kernel {
        let mut kernel =
            Kernel { parameters: Vec::new(), block: [1; 3], registers: 0, local_bytes: 0, code: Vec::new() };
        let (mut texts, mut labels) = (Vec::new(), BTreeMap::new());
        let mut local = None;
        let mut pending = String::new();
        for line in lines {
            if let Some(parameter) = line.strip_prefix(".param ") {
                let name = parameter.trim_end_matches(',').split_whitespace().last().unwrap();
                kernel.parameters.push(name.to_owned());
            } else if let Some(block) = line.strip_prefix(".reqntid ") {
                let mut lengths = block.split(',').map(|length| length.trim().parse().unwrap());
                kernel.block = [1; 3].map(|one| lengths.next().unwrap_or(one));
            } else if line.starts_with(".minnctapersm ") {
                // A matter of registers.
            } else if line.starts_with(".shared ") {
                let (name, bytes) = array(line);
                shared.push((name, Some(bytes)));
            } else if line.starts_with(".local ") {
                let (name, bytes) = array(line);
                (kernel.local_bytes, local) = (bytes, Some(name));
            } else if let Some(label) = line.strip_suffix(':') {
                labels.insert(label.to_owned(), texts.len());
            } else if let Some(inside) = line.strip_prefix("{ ").and_then(|line| line.strip_suffix('}')) {
                // A register of its own for one instruction: `{ .reg .b32 tmp; mov.b64 {tmp, %r1}, %rd1; }`
                let parts =
                    inside.split(';').map(str::trim).filter(|part| !part.is_empty() && !part.starts_with(".reg"));
                texts.extend(parts.map(|part| part.replace("tmp", "%tmp")));
            } else if line == "}" && pending.is_empty() {
                break;
            } else if !matches!(line, "" | ")" | "{") && !line.starts_with(".reg ") && !line.starts_with(".pragma ") {
                pending.push_str(line);
                pending.push(' ');
                if line.ends_with(';') {
                    texts.push(std::mem::take(&mut pending));
                }
            }
        }
        let mut names = BTreeMap::new();
        kernel.code =
            texts.iter().map(|text| Instruction::parse(text, &labels, &mut names, local.as_deref())).collect();
        kernel.registers = names.len();
        kernel
    }
}

impl Instruction {
    fn parse(
        text: &str,
        labels: &BTreeMap<String, usize>,
        names: &mut BTreeMap<String, usize>,
        local: Option<&str>,
    ) -> Instruction {
        let text = text.trim().trim_end_matches(';').trim();
        let mut register = |name: &str| {
            let next = names.len();
            *names.entry(name.to_owned()).or_insert(next)
        };
        let (guard, rest) = match text.strip_prefix('@') {
            Some(guarded) => {
                let (guard, rest) = guarded.split_once(char::is_whitespace).unwrap();
                let negated = guard.starts_with('!');
                (Some((register(guard.trim_start_matches('!')), negated)), rest.trim())
            }
            None => (None, text),
        };
        let (op, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut parse = |text: &str| operand(text, labels, &mut register, local);
        let operands = apart(operands).iter().map(|text| parse(text)).collect();
        Instruction { text: text.to_owned(), guard, op: op.split('.').map(String::from).collect(), operands }
    }
}

/// Operands are apart at commas outside of braces and brackets, and at `|`.
fn apart(text: &str) -> Vec<String> {
    let (mut all, mut depth) = (vec![String::new()], 0);
    for letter in text.chars() {
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' | '|' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().unwrap().push(letter);
    }
    all.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn operand(
    text: &str,
    labels: &BTreeMap<String, usize>,
    register: &mut impl FnMut(&str) -> usize,
    local: Option<&str>,
) -> Operand {
    const SPECIAL: [&str; 6] = ["%tid.x", "%tid.y", "%tid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z"];
    if let Some(parts) = text.strip_prefix('{') {
        let parts = apart(parts.trim_end_matches('}'));
        return Operand::Vector(parts.iter().map(|part| operand(part, labels, register, local)).collect());
    }
    if let Some(address) = text.strip_prefix('[') {
        let address = address.trim_end_matches(']');
        let (base, distance) = match address.find('+') {
            Some(at) => (&address[..at], address[at + 1..].trim().parse().unwrap()),
            None => (address, 0),
        };
        return Operand::Memory(Box::new(operand(base.trim(), labels, register, local)), distance);
    }
    match text {
        _ if SPECIAL.contains(&text) => Operand::Special(text.to_owned()),
        _ if text.starts_with('%') => Operand::Register(register(text)),
        _ if labels.contains_key(text) => Operand::Label(labels[text]),
        _ if Some(text) == local => Operand::Number(LOCAL),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Operand::Number(number(text)),
        _ => Operand::Symbol(text.to_owned()),
    }
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runs,
    AtBarrier,
    /// At a shuffle, with the threads of its warp that shuffle.
    Shuffles(u32),
    Done,
}

struct Thread {
    id: [u32; 3],
    at: usize,
    state: State,
    registers: Vec<u64>,
    local: Vec<u8>,
    /// Copies that go on by themselves: where to, where from, and what was read if that was at once.
    copies: Vec<(u64, u64, usize, Option<Vec<u8>>)>,
}

struct Block<'m> {
    kernel: &'m Kernel,
    symbols: &'m BTreeMap<&'m str, u64>,
    grid: [u32; 3],
    block: [u32; 3],
    buffers: &'m mut Vec<Vec<u8>>,
    shared: Vec<Vec<u8>>,
    threads: Vec<Thread>,
}

/// Steps of a thread at a time.
const MOST_STEPS: usize = 10_000_000;

impl Block<'_> {
    fn run(&mut self, seed: u64) {
        let [x, y, z] = self.kernel.block;
        for number in 0..x * y * z {
            let id = [number % x, number / x % y, number / x / y];
            let registers = vec![0xdead_beef_dead_beef; self.kernel.registers];
            let local = vec![0xff; self.kernel.local_bytes];
            self.threads.push(Thread { id, at: 0, state: State::Runs, registers, local, copies: Vec::new() });
        }
        let count = self.threads.len();
        loop {
            for turn in 0..count {
                // Backwards, or from somewhere in the middle on.
                let number = if seed.is_multiple_of(2) { (turn + seed as usize) % count } else { count - 1 - turn };
                let mut steps = 0;
                while self.threads[number].state == State::Runs {
                    self.step(number);
                    steps += 1;
                    assert!(steps < MOST_STEPS, "a thread does not end");
                }
            }
            let shuffled = self.shuffle();
            if shuffled {
                continue;
            }
            let states: Vec<State> = self.threads.iter().map(|thread| thread.state).collect();
            if states.iter().all(|state| *state == State::Done) {
                return;
            }
            assert!(states.iter().all(|state| *state == State::AtBarrier), "some threads wait for others: {states:?}");
            self.threads.iter_mut().for_each(|thread| thread.state = State::Runs);
        }
    }

    /// Has the warps whose threads are all at one shuffle exchange their values.
    fn shuffle(&mut self) -> bool {
        let mut any = false;
        for first in (0..self.threads.len()).step_by(32) {
            let warp = first..(first + 32).min(self.threads.len());
            let State::Shuffles(mask) = self.threads[first].state else { continue };
            let members: Vec<usize> = warp.filter(|at| mask >> (at - first) & 1 == 1).collect();
            let at = self.threads[first].at;
            let there = |one: &usize| self.threads[*one].state == State::Shuffles(mask) && self.threads[*one].at == at;
            if !members.iter().all(there) {
                continue;
            }
            let instruction = &self.kernel.code[at];
            let [to, value, distance, ..] = &instruction.operands[..] else { panic!("{}", instruction.text) };
            let values: Vec<u64> = members.iter().map(|one| self.value(*one, value, 32)).collect();
            let taken: Vec<u64> = members
                .iter()
                .map(|one| {
                    let other = (one - first) ^ self.value(*one, distance, 32) as usize;
                    let position = members.iter().position(|member| member - first == other);
                    values[position.unwrap_or_else(|| panic!("{}: lane {other} is not there", instruction.text))]
                })
                .collect();
            for (one, value) in members.iter().zip(taken) {
                self.put(*one, to, value);
                self.threads[*one].at += 1;
                self.threads[*one].state = State::Runs;
            }
            any = true;
        }
        any
    }

    /// The bits of an operand, in the low ones of the result.
    fn value(&self, thread: usize, operand: &Operand, bits: u32) -> u64 {
        let all = match operand {
            Operand::Register(at) => self.threads[thread].registers[*at],
            Operand::Number(value) => *value,
            Operand::Symbol(name) => *self.symbols.get(name.as_str()).unwrap_or_else(|| panic!("no symbol {name}")),
            Operand::Special(name) => {
                let axis = ["x", "y", "z"].iter().position(|axis| name.ends_with(axis)).unwrap();
                let numbers = if name.starts_with("%tid") { self.threads[thread].id } else { self.block };
                numbers[axis].into()
            }
            other => panic!("{other:?} is no value"),
        };
        truncated(all, bits)
    }

    fn put(&mut self, thread: usize, to: &Operand, value: u64) {
        let Operand::Register(at) = to else { panic!("{to:?} is no register") };
        self.threads[thread].registers[*at] = value;
    }

    /// The bytes at an address.
    fn memory(&mut self, thread: usize, address: u64, bytes: usize, text: &str) -> &mut [u8] {
        assert!(address.is_multiple_of(bytes as u64), "not aligned: {text} at {address:#x}");
        let (memory, at) = if address >= GLOBAL {
            let (buffer, at) = (address / GLOBAL - 1, address % GLOBAL);
            (self.buffers.get_mut(buffer as usize), at)
        } else if address >= LOCAL {
            (Some(&mut self.threads[thread].local), address - LOCAL)
        } else {
            let array = (address / SHARED).checked_sub(1);
            (array.and_then(|array| self.shared.get_mut(array as usize)), address % SHARED)
        };
        let memory = memory.unwrap_or_else(|| panic!("{text}: no memory at {address:#x}"));
        let (at, size) = (at as usize, memory.len());
        memory.get_mut(at..at + bytes).unwrap_or_else(|| panic!("{text}: byte {at} of {size}"))
    }

    fn step(&mut self, thread: usize) {
        let kernel = self.kernel;
        let instruction = &kernel.code[self.threads[thread].at];
        if let Some((guard, negated)) = instruction.guard
            && (self.threads[thread].registers[guard] & 1 == 1) == negated
        {
            self.threads[thread].at += 1;
            return;
        }
        let op: Vec<&str> = instruction.op.iter().map(String::as_str).collect();
        match op[..] {
            ["bra", ..] => {
                let Operand::Label(to) = instruction.operands[0] else { panic!("{}", instruction.text) };
                self.threads[thread].at = to;
                return;
            }
            ["cp", "async", "ca" | "cg", "shared", "global"] => self.copy(thread, instruction),
            ["cp", "async", "wait_all"] => self.wait(thread, &instruction.text),
            ["ret"] => {
                assert!(self.threads[thread].copies.is_empty(), "copies are under way where a thread ends");
                self.threads[thread].state = State::Done;
                return;
            }
            ["bar", "sync"] | ["barrier", "sync", ..] => self.threads[thread].state = State::AtBarrier,
            ["shfl", "sync", "bfly", "b32"] => {
                let mask = self.value(thread, &instruction.operands[4], 32) as u32;
                self.threads[thread].state = State::Shuffles(mask);
                return;
            }
            ["ld", "param", ty] => {
                let Operand::Memory(name, 0) = &instruction.operands[1] else { panic!("{}", instruction.text) };
                let value = self.value(thread, name, bits_of(ty));
                self.put(thread, &instruction.operands[0], value);
            }
            ["ld", .., ty] => self.access(thread, instruction, ty, true),
            ["st", .., ty] => self.access(thread, instruction, ty, false),
            ["atom", "global", "cas", ty] => {
                let [to, address, expected, new] = &instruction.operands[..] else { panic!("{}", instruction.text) };
                let (address, bits) = (self.address(thread, address), bits_of(ty));
                let (expected, new) = (self.value(thread, expected, bits), self.value(thread, new, bits));
                let memory = self.memory(thread, address, bits as usize / 8, &instruction.text);
                let mut bytes = [0; 8];
                bytes[..memory.len()].copy_from_slice(memory);
                let old = u64::from_le_bytes(bytes);
                if old == expected {
                    memory.copy_from_slice(&new.to_le_bytes()[..memory.len()]);
                }
                self.put(thread, to, old);
            }
            ["atom", "global", how @ ("add" | "min" | "max" | "and" | "or" | "xor"), ty] => {
                let [to, address, operand] = &instruction.operands[..] else { panic!("{}", instruction.text) };
                let (address, bits) = (self.address(thread, address), bits_of(ty));
                let operand = self.value(thread, operand, bits);
                let memory = self.memory(thread, address, bits as usize / 8, &instruction.text);
                let mut bytes = [0; 8];
                bytes[..memory.len()].copy_from_slice(memory);
                let old = u64::from_le_bytes(bytes);
                let new = updated(how, ty, old, operand, bits).to_le_bytes();
                memory.copy_from_slice(&new[..memory.len()]);
                self.put(thread, to, old);
            }
            ["mov", ty] => self.moved(thread, instruction, bits_of(ty)),
            ["cvta", ..] => {
                let value = self.value(thread, &instruction.operands[1], 64);
                self.put(thread, &instruction.operands[0], value);
            }
            _ => {
                let bits = *op.last().unwrap();
                assert!(bits.len() < 5, "unknown instruction: {}", instruction.text);
                let sources = &instruction.operands[1..];
                let value = self.computed(thread, &op, bits, sources, &instruction.text);
                self.put(thread, &instruction.operands[0], value);
            }
        }
        self.threads[thread].at += 1;
    }

    /// Begins a copy that arrives as late as it can; what is there before is no number. Every other one reads at once.
    fn copy(&mut self, thread: usize, instruction: &Instruction) {
        let [to, from, Operand::Number(bytes)] = &instruction.operands[..] else { panic!("{}", instruction.text) };
        let (to, from, bytes) = (self.address(thread, to), self.address(thread, from), *bytes as usize);
        let is_whole = bytes == 16 || instruction.op[2] == "ca" && matches!(bytes, 4 | 8);
        assert!(is_whole && (GLOBAL..).contains(&from) && (SHARED..LOCAL).contains(&to), "{}", instruction.text);
        let source = self.memory(thread, from, bytes, &instruction.text).to_vec();
        self.memory(thread, to, bytes, &instruction.text).fill(0xff);
        let copies = &mut self.threads[thread].copies;
        let read = copies.len().is_multiple_of(2).then_some(source);
        copies.push((to, from, bytes, read));
    }

    fn wait(&mut self, thread: usize, text: &str) {
        for (to, from, bytes, read) in std::mem::take(&mut self.threads[thread].copies) {
            let source = read.unwrap_or_else(|| self.memory(thread, from, bytes, text).to_vec());
            self.memory(thread, to, bytes, text).copy_from_slice(&source);
        }
    }

    fn address(&self, thread: usize, operand: &Operand) -> u64 {
        let Operand::Memory(base, distance) = operand else { panic!("{operand:?} is no address") };
        self.value(thread, base, 64).wrapping_add(*distance as u64)
    }

    fn access(&mut self, thread: usize, instruction: &Instruction, ty: &str, loads: bool) {
        let (memory, registers) = match (&instruction.operands[..], loads) {
            ([to, from], true) => (from, to),
            ([to, from], false) => (to, from),
            _ => panic!("{}", instruction.text),
        };
        let registers = match registers {
            Operand::Vector(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        let width = bits_of(ty) as usize / 8;
        let address = self.address(thread, memory);
        // The whole of a vector is aligned.
        self.memory(thread, address, width * registers.len(), &instruction.text);
        for (lane, register) in registers.iter().enumerate() {
            let at = address + (lane * width) as u64;
            if loads {
                let mut bytes = [0; 8];
                bytes[..width].copy_from_slice(self.memory(thread, at, width, &instruction.text));
                let value = u64::from_le_bytes(bytes);
                let value = if ty.starts_with('s') { signed(value, 8 * width as u32) as u64 } else { value };
                self.put(thread, register, value);
            } else {
                let bytes = self.value(thread, register, 64).to_le_bytes();
                self.memory(thread, at, width, &instruction.text).copy_from_slice(&bytes[..width]);
            }
        }
    }

    /// Moves, also of the parts of a register.
    fn moved(&mut self, thread: usize, instruction: &Instruction, bits: u32) {
        match &instruction.operands[..] {
            [Operand::Vector(parts), from] => {
                let (value, width) = (self.value(thread, from, bits), bits / parts.len() as u32);
                for (at, part) in (0u32..).zip(parts) {
                    self.put(thread, part, truncated(value >> (at * width), width));
                }
            }
            [to, Operand::Vector(parts)] => {
                let width = bits / parts.len() as u32;
                let value = (0u32..).zip(parts).map(|(at, part)| self.value(thread, part, width) << (at * width)).sum();
                self.put(thread, to, value);
            }
            [to, from] => {
                let value = self.value(thread, from, bits);
                self.put(thread, to, value);
            }
            _ => panic!("{}", instruction.text),
        }
    }

    fn computed(&self, thread: usize, op: &[&str], ty: &str, sources: &[Operand], text: &str) -> u64 {
        let bits = bits_of(ty);
        let value = |at: usize, bits: u32| self.value(thread, &sources[at], bits);
        let int = |at: usize| {
            let value = value(at, bits);
            if ty.starts_with('s') { i128::from(signed(value, bits)) } else { i128::from(value) }
        };
        let cut = |value: i128| truncated(value as u64, bits);
        match *op {
            ["setp", compare, _] => u64::from(self.compared(thread, compare, ty, sources)),
            ["setp", compare, with, _] => {
                let own = self.compared(thread, compare, ty, sources);
                let other = value(2, 1) == 1;
                u64::from(match with {
                    "and" => own & other,
                    "or" => own | other,
                    "xor" => own ^ other,
                    _ => panic!("{text}"),
                })
            }
            ["selp", _] => {
                if value(2, 1) == 1 {
                    value(0, bits)
                } else {
                    value(1, bits)
                }
            }
            ["and", _] => value(0, bits) & value(1, bits),
            ["or", _] => value(0, bits) | value(1, bits),
            ["xor", _] => value(0, bits) ^ value(1, bits),
            ["not", _] => truncated(!value(0, bits), bits),
            ["shl", _] => truncated(value(0, bits).checked_shl(value(1, 32) as u32).unwrap_or(0), bits),
            ["shr", _] => cut(int(0) >> value(1, 32).min(127)),
            ["cvt", .., from] => converted(op, from, value(0, bits_of(from)), text),
            ["bfe", _] => {
                let (first, count) = (value(1, 32) as u32 & 255, value(2, 32) as u32 & 255);
                let field = if first >= bits { 0 } else { value(0, bits) >> first };
                let field = truncated(field, count.min(63));
                if ty.starts_with('s') { truncated(signed(field, count.max(1)) as u64, bits) } else { field }
            }
            ["bfi", _] => {
                let (first, count) = (value(2, 32) as u32 & 255, value(3, 32) as u32 & 255);
                let mask = truncated(truncated(u64::MAX, count.min(63)) << first, bits);
                value(1, bits) & !mask | value(0, bits) << first & mask
            }
            ["prmt", _] => {
                let all = value(0, 32) | value(1, 32) << 32;
                let byte = |at: u32| {
                    let select = value(2, 32) >> (4 * at) & 15;
                    let byte = all >> (8 * (select & 7)) & 255;
                    let byte = if select & 8 == 0 {
                        byte
                    } else if byte & 128 == 0 {
                        0
                    } else {
                        255
                    };
                    byte << (8 * at)
                };
                (0..4).map(byte).sum()
            }
            ["shf", way, how, _] => {
                let all = value(0, 32) | value(1, 32) << 32;
                let by = if how == "wrap" { value(2, 32) & 31 } else { value(2, 32).min(32) };
                if way == "l" { truncated(all.wrapping_shl(by as u32) >> 32, 32) } else { truncated(all >> by, 32) }
            }
            ["popc", _] => value(0, bits).count_ones().into(),
            ["brev", _] => value(0, bits).reverse_bits() >> (64 - bits),
            ["clz", _] => u64::from(value(0, bits).leading_zeros() - (64 - bits)),
            _ if ty == "f32" => {
                let [a, b, c] = [0, 1, 2].map(|at| if at < sources.len() { value(at, 32) } else { 0 }).map(single);
                u64::from(single_of(op, a, b, c, text).to_bits())
            }
            _ if ty == "f64" => {
                let [a, b, c] =
                    [0, 1, 2].map(|at| if at < sources.len() { value(at, 64) } else { 0 }).map(f64::from_bits);
                double_of(op, a, b, c, text).to_bits()
            }
            ["add", _] => cut(int(0) + int(1)),
            ["sub", _] => cut(int(0) - int(1)),
            ["neg", _] => cut(-int(0)),
            ["abs", _] => cut(int(0).abs()),
            ["mul", "lo", _] => cut(int(0).wrapping_mul(int(1))),
            ["mul", "hi", _] => cut((int(0) * int(1)) >> bits),
            ["mad", "lo", _] => cut(int(0).wrapping_mul(int(1)).wrapping_add(int(2))),
            ["mul", "wide", _] => truncated((int(0) * int(1)) as u64, 2 * bits),
            ["mad", "wide", _] => truncated((int(0) * int(1)) as u64, 2 * bits).wrapping_add(value(2, 2 * bits)),
            ["div", _] => cut(int(0) / int(1)),
            ["rem", _] => cut(int(0) % int(1)),
            ["min", _] => cut(int(0).min(int(1))),
            ["max", _] => cut(int(0).max(int(1))),
            _ => panic!("unknown instruction: {text}"),
        }
    }

    fn compared(&self, thread: usize, compare: &str, ty: &str, sources: &[Operand]) -> bool {
        let bits = bits_of(ty);
        let [a, b] = [0, 1].map(|at| self.value(thread, &sources[at], bits));
        let order = match ty {
            "f32" => single(a).partial_cmp(&single(b)),
            "f64" => f64::from_bits(a).partial_cmp(&f64::from_bits(b)),
            _ if ty.starts_with('s') => signed(a, bits).partial_cmp(&signed(b, bits)),
            _ => a.partial_cmp(&b),
        };
        match (compare, order) {
            ("num", order) => order.is_some(),
            ("nan", order) => order.is_none(),
            // Those of unordered floats hold when one is not a number.
            (unordered @ ("equ" | "neu" | "ltu" | "leu" | "gtu" | "geu"), order) => {
                order.is_none_or(|order| ordered(&unordered[..2], order))
            }
            (compare, Some(order)) => ordered(compare, order),
            (_, None) => false,
        }
    }
}

fn ordered(compare: &str, order: std::cmp::Ordering) -> bool {
    match compare {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "lt" | "lo" => order.is_lt(),
        "le" | "ls" => order.is_le(),
        "gt" | "hi" => order.is_gt(),
        "ge" | "hs" => order.is_ge(),
        _ => panic!("unknown comparison {compare}"),
    }
}

fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn single_of(op: &[&str], a: f32, b: f32, c: f32, text: &str) -> f32 {
    match *op {
        ["add", "rn", _] => a + b,
        ["sub", "rn", _] => a - b,
        ["mul", "rn", _] => a * b,
        ["div", "rn", _] => a / b,
        ["fma", "rn", _] => a.mul_add(b, c),
        ["sqrt", "rn", _] => a.sqrt(),
        ["rcp", "rn", _] => 1.0 / a,
        ["neg", _] => -a,
        ["abs", _] => a.abs(),
        ["min", _] => a.min(b),
        ["max", _] => a.max(b),
        // The sign of the first.
        ["copysign", _] => b.copysign(a),
        _ => panic!("unknown instruction: {text}"),
    }
}

fn double_of(op: &[&str], a: f64, b: f64, c: f64, text: &str) -> f64 {
    match *op {
        ["add", "rn", _] => a + b,
        ["sub", "rn", _] => a - b,
        ["mul", "rn", _] => a * b,
        ["div", "rn", _] => a / b,
        ["fma", "rn", _] => a.mul_add(b, c),
        ["sqrt", "rn", _] => a.sqrt(),
        ["rcp", "rn", _] => 1.0 / a,
        ["neg", _] => -a,
        ["abs", _] => a.abs(),
        ["min", _] => a.min(b),
        ["max", _] => a.max(b),
        ["copysign", _] => b.copysign(a),
        _ => panic!("unknown instruction: {text}"),
    }
}

/// `cvt.rounding.to.from`
fn converted(op: &[&str], from: &str, bits: u64, text: &str) -> u64 {
    let to = op[op.len() - 2];
    let rounding = if op.len() > 3 { op[1] } else { "" };
    assert!(op.len() <= 4, "{text}");
    let float = match from {
        "f16" => Some(half::f16::from_bits(bits as u16).to_f64()),
        "f32" => Some(f64::from(single(bits))),
        "f64" => Some(f64::from_bits(bits)),
        _ => None,
    };
    let int = if from.starts_with('s') { i128::from(signed(bits, bits_of(from))) } else { i128::from(bits) };
    let rounded = |value: f64| match rounding {
        "rni" => value.round_ties_even(),
        "rzi" => value.trunc(),
        "rmi" => value.floor(),
        "rpi" => value.ceil(),
        "rn" | "" => value,
        _ => panic!("unknown rounding: {text}"),
    };
    match (to, float) {
        ("f16", Some(value)) => half::f16::from_f64(value).to_bits().into(),
        ("f32", Some(value)) => (rounded(value) as f32).to_bits().into(),
        ("f64", Some(value)) => rounded(value).to_bits(),
        ("f32", None) => (int as f32).to_bits().into(),
        ("f64", None) => (int as f64).to_bits(),
        (_, Some(value)) => {
            let end = bits_of(to) - u32::from(to.starts_with('s'));
            let (least, most) = (if to.starts_with('s') { -(1i128 << end) } else { 0 }, (1i128 << end) - 1);
            truncated((rounded(value) as i128).clamp(least, most) as u64, bits_of(to))
        }
        (_, None) => truncated(int as u64, bits_of(to)),
    }
}

fn bits_of(ty: &str) -> u32 {
    if ty == "pred" { 1 } else { ty[1..].parse().unwrap_or_else(|_| panic!("unknown type {ty}")) }
}

fn truncated(value: u64, bits: u32) -> u64 {
    if bits >= 64 { value } else { value & ((1 << bits) - 1) }
}

fn signed(value: u64, bits: u32) -> i64 {
    if bits >= 64 { value as i64 } else { ((value << (64 - bits)) as i64) >> (64 - bits) }
}

/// What an atomic instruction leaves in memory.
fn updated(how: &str, ty: &str, old: u64, by: u64, bits: u32) -> u64 {
    let both = |low: u64, high: u64, is_less: bool| if (how == "min") == is_less { low } else { high };
    let new = match (how, ty) {
        ("add", "f32") => {
            // Numbers below the smallest normal one count as zero in global memory (PTX ISA, `atom`).
            let flushed = |x: f32| if x.is_subnormal() { 0f32.copysign(x) } else { x };
            let sum = flushed(f32::from_bits(old as u32)) + flushed(f32::from_bits(by as u32));
            u64::from(flushed(sum).to_bits())
        }
        ("add", "f64") => (f64::from_bits(old) + f64::from_bits(by)).to_bits(),
        ("add", _) => old.wrapping_add(by),
        ("and", _) => old & by,
        ("or", _) => old | by,
        ("xor", _) => old ^ by,
        (_, "s32" | "s64") => both(old, by, signed(old, bits) < signed(by, bits)),
        _ => both(old, by, old < by),
    };
    truncated(new, bits)
}
