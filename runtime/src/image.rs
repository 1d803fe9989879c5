//! A relocatable ELF object becomes memory that can be executed.
//!
//! The object stands for itself: it has no undefined symbols, no data that is written, nothing for each thread and
//! nothing to run at the start. So mapping it is laying out its sections, applying its relocations and protecting
//! the result: code may be executed, all else may be read, and nothing may be written.
//!
//! ```text
//! | code: sections that are executed | pages | constants, .eh_frame, global offset table | pages |
//!   read, execute                            read
//! ```
//!
//! The bytes are checked, not trusted: whatever is unknown or damaged is an [`ImageError`]. What the code does when
//! it is called is another matter; see [`Code`](crate::kernel::Code).

mod mapping;
mod relocation;

use mapping::Mapping;
use object::elf::{self, FileHeader64};
use object::read::elf::{ElfFile, ElfSection, FileHeader, SectionHeader};
use object::read::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolIndex, SymbolSection};
use object::{LittleEndian, RelocationFlags, SymbolKind};
use relocation::{HOST, Place, Unfit};
use std::fmt;

/// No image is larger than this: relative relocations of 32 bits reach across it.
const MAX_BYTES: usize = 1 << 30;

/// An object of this machine, mapped. Unmapped on drop.
pub struct Image {
    mapping: Mapping,
    /// Where the functions with global names begin.
    entries: Vec<(String, usize)>,
}

/// Why an object cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file contradicts itself or ends too early.
    #[error("the object is damaged: {0}")]
    Damaged(String),
    /// An executable or a shared library, not what a compiler emits.
    #[error("the file is not a relocatable object")]
    NotRelocatable,
    /// The object is for another machine.
    #[error("the object is for ELF machine {found}, but this process runs on {expected}")]
    WrongMachine {
        /// The machine of this process.
        expected: u16,
        /// The machine of the object.
        found: u16,
    },
    /// A section that an image cannot have.
    #[error("section `{section}` {reason}")]
    Section {
        /// The name of the section.
        section: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The object needs something from outside.
    #[error("the symbol `{name}` is not defined")]
    UndefinedSymbol {
        /// The name of the symbol.
        name: String,
    },
    /// A relocation that cannot be applied.
    #[error("relocation at {offset:#x} of section `{section}`: {reason}")]
    Relocation {
        /// The section that it is in.
        section: String,
        /// The position in that section.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The sections take more room than an image may.
    #[error("the sections are larger than an image may be ({MAX_BYTES} bytes)")]
    TooLarge,
    /// The operating system did not give or protect the memory.
    #[error("cannot map executable memory: {0}")]
    Memory(#[from] std::io::Error),
}

type Elf<'data> = ElfFile<'data, FileHeader64<LittleEndian>>;
type Section<'data, 'file> = ElfSection<'data, 'file, FileHeader64<LittleEndian>>;

impl Image {
    /// Maps the object.
    pub fn map(object: &[u8]) -> Result<Image, ImageError> {
        let file = Elf::parse(object)?;
        check_header(&file)?;
        check_symbols(&file)?;
        let layout = Layout::of(&file)?;
        let mut mapping = Mapping::new(layout.bytes)?;
        layout.copy_sections(&file, mapping.as_mut_slice())?;
        layout.relocate(&file, &mut mapping)?;
        mapping.protect(layout.code_bytes)?;
        Ok(Image { entries: layout.entries(&file)?, mapping })
    }

    /// The address of the function with this global name.
    pub fn entry(&self, name: &str) -> Option<*const ()> {
        self.entries
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, offset)| self.mapping.start().wrapping_add(*offset).cast())
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("bytes", &self.mapping.len()).field("entries", &self.entries).finish()
    }
}

impl From<object::Error> for ImageError {
    fn from(error: object::Error) -> ImageError {
        ImageError::Damaged(error.to_string())
    }
}

fn check_header(file: &Elf<'_>) -> Result<(), ImageError> {
    let header = file.elf_header();
    if header.e_type(LittleEndian) != elf::ET_REL {
        return Err(ImageError::NotRelocatable);
    }
    let (expected, found) = (HOST.elf_number().0, header.e_machine(LittleEndian).0);
    if found == expected { Ok(()) } else { Err(ImageError::WrongMachine { expected, found }) }
}

/// Checks that every symbol is defined. A compiler may mention the global offset table by the name that a linker
/// gives it; a relocation that refers to that symbol is refused later.
fn check_symbols(file: &Elf<'_>) -> Result<(), ImageError> {
    for symbol in file.symbols() {
        let name = symbol.name()?;
        if symbol.is_undefined() && !["", "_GLOBAL_OFFSET_TABLE_"].contains(&name) {
            return Err(ImageError::UndefinedSymbol { name: name.to_owned() });
        }
    }
    Ok(())
}

/// Where each section lies in the image, as offsets from its start. Sections and symbols by their ELF index.
struct Layout {
    sections: ByIndex<Placed>,
    /// The slot in the global offset table of each symbol that has one.
    table: ByIndex<usize>,
    /// The length of the part that is executed: whole pages.
    code_bytes: usize,
    bytes: usize,
}

/// Few of something, each with its ELF index: a search through all costs less than a map takes.
type ByIndex<T> = Vec<(usize, T)>;

fn of<T>(all: &ByIndex<T>, index: usize) -> Option<&T> {
    all.iter().find(|(own, _)| *own == index).map(|(_, found)| found)
}

/// A section of the image.
#[derive(Clone, Copy)]
struct Placed {
    offset: usize,
    bytes: usize,
    is_code: bool,
}

impl Layout {
    fn of(file: &Elf<'_>) -> Result<Layout, ImageError> {
        let mut end = 0;
        let mut sections = ByIndex::new();
        place_sections(file, true, &mut end, &mut sections)?;
        let code_bytes = align(end, mapping::page_bytes())?;
        end = code_bytes;
        place_sections(file, false, &mut end, &mut sections)?;
        let mut layout = Layout { sections, table: ByIndex::new(), code_bytes, bytes: 0 };
        end = align(end, 8)?;
        for symbol in layout.symbols_in_table(file) {
            layout.table.push((symbol.0, end));
            end += 8;
        }
        layout.bytes = align(end.max(1), mapping::page_bytes())?;
        Ok(layout)
    }

    /// The symbols whose address the code loads from the global offset table.
    fn symbols_in_table(&self, file: &Elf<'_>) -> Vec<SymbolIndex> {
        let mut symbols = Vec::new();
        for section in file.sections().filter(|section| of(&self.sections, section.index().0).is_some()) {
            for (_, relocation) in section.relocations() {
                let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
                let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
                if HOST.goes_through_table(r_type) {
                    symbols.push(symbol);
                }
            }
        }
        symbols.sort_unstable_by_key(|symbol| symbol.0);
        symbols.dedup();
        symbols
    }

    fn copy_sections(&self, file: &Elf<'_>, image: &mut [u8]) -> Result<(), ImageError> {
        for &(index, ref placed) in &self.sections {
            let section = file.section_by_index(SectionIndex(index))?;
            let data = section.data()?;
            if !data.is_empty() {
                let Some(target) = image.get_mut(placed.offset..placed.offset + placed.bytes) else {
                    return Err(ImageError::TooLarge);
                };
                if data.len() != target.len() {
                    return Err(bad_section(&section, "has another size than its header says"));
                }
                target.copy_from_slice(data);
            }
        }
        Ok(())
    }

    fn relocate(&self, file: &Elf<'_>, mapping: &mut Mapping) -> Result<(), ImageError> {
        let base = mapping.start() as u64;
        let image = mapping.as_mut_slice();
        for &(symbol, slot) in &self.table {
            let address = base.wrapping_add(self.symbol_offset(file, SymbolIndex(symbol))?);
            image[slot..slot + 8].copy_from_slice(&address.to_le_bytes());
        }
        for &(index, ref placed) in &self.sections {
            let section = file.section_by_index(SectionIndex(index))?;
            let bytes = &mut image[placed.offset..placed.offset + placed.bytes];
            for (offset, relocation) in section.relocations() {
                let applied = self.apply(file, base, placed, bytes, offset, &relocation);
                applied.map_err(|error| bad_relocation(&section, offset, error))?;
            }
        }
        Ok(())
    }

    /// Applies one relocation at `offset` of the section that has been copied to `bytes`.
    fn apply(
        &self,
        file: &Elf<'_>,
        base: u64,
        placed: &Placed,
        bytes: &mut [u8],
        offset: u64,
        relocation: &object::Relocation,
    ) -> Result<(), Unfit> {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return Err(Unfit::Unknown) };
        if relocation.has_implicit_addend() {
            return Err(Unfit::Unknown);
        }
        let RelocationTarget::Symbol(symbol) = relocation.target() else { return Err(Unfit::NoSymbol) };
        let target = match of(&self.table, symbol.0) {
            Some(&slot) if HOST.goes_through_table(r_type) => slot as u64,
            _ => self.symbol_offset(file, symbol).map_err(|_| Unfit::NoSymbol)?,
        };
        let address = base.wrapping_add(placed.offset as u64).wrapping_add(offset);
        let place = Place { bytes, offset, address };
        HOST.apply(r_type, place, base.wrapping_add(target), relocation.addend())
    }

    /// Where the symbol is, as an offset from the start of the image.
    fn symbol_offset(&self, file: &Elf<'_>, index: SymbolIndex) -> Result<u64, ImageError> {
        let symbol = file.symbol_by_index(index)?;
        let undefined = || ImageError::UndefinedSymbol { name: symbol.name().unwrap_or_default().to_owned() };
        let SymbolSection::Section(section) = symbol.section() else { return Err(undefined()) };
        let placed = of(&self.sections, section.0).ok_or_else(undefined)?;
        if symbol.address() > placed.bytes as u64 {
            return Err(ImageError::Damaged("a symbol lies outside its section".to_owned()));
        }
        Ok(placed.offset as u64 + symbol.address())
    }

    /// The functions that have a global name.
    fn entries(&self, file: &Elf<'_>) -> Result<Vec<(String, usize)>, ImageError> {
        let mut entries = Vec::new();
        for symbol in file.symbols() {
            let SymbolSection::Section(section) = symbol.section() else { continue };
            let is_code = of(&self.sections, section.0).is_some_and(|placed| placed.is_code);
            if is_code && symbol.is_global() && symbol.kind() == SymbolKind::Text {
                let offset = self.symbol_offset(file, symbol.index())?;
                entries.push((symbol.name()?.to_owned(), offset as usize));
            }
        }
        Ok(entries)
    }
}

/// Gives a place after `end` to each section of the image that is code, or to each that is not.
fn place_sections(
    file: &Elf<'_>,
    code: bool,
    end: &mut usize,
    sections: &mut ByIndex<Placed>,
) -> Result<(), ImageError> {
    for section in file.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(LittleEndian);
        if !flags.contains(elf::SHF_ALLOC) || flags.contains(elf::SHF_EXECINSTR) != code || section.size() == 0 {
            continue;
        }
        check_section(&section, flags)?;
        let bytes = usize::try_from(section.size()).map_err(|_| ImageError::TooLarge)?;
        let alignment = usize::try_from(section.align()).unwrap_or(usize::MAX).max(1);
        if !alignment.is_power_of_two() || alignment > mapping::page_bytes() {
            return Err(bad_section(&section, "has an alignment that memory cannot have"));
        }
        let offset = align(*end, alignment)?;
        *end = offset.checked_add(bytes).filter(|end| *end <= MAX_BYTES).ok_or(ImageError::TooLarge)?;
        sections.push((section.index().0, Placed { offset, bytes, is_code: code }));
    }
    Ok(())
}

/// Checks that an image may have this section.
fn check_section(section: &Section<'_, '_>, flags: elf::SectionFlags) -> Result<(), ImageError> {
    let relocated_constants = section.name()?.starts_with(".data.rel.ro");
    if flags.contains(elf::SHF_TLS) {
        return Err(bad_section(section, "has data for each thread"));
    }
    if flags.contains(elf::SHF_WRITE) && !relocated_constants {
        return Err(bad_section(
            section,
            "has data that is written: a kernel may be called by several threads at once",
        ));
    }
    if flags.contains(elf::SHF_COMPRESSED) {
        return Err(bad_section(section, "is compressed"));
    }
    Ok(())
}

fn bad_section(section: &Section<'_, '_>, reason: &'static str) -> ImageError {
    ImageError::Section { section: section.name().unwrap_or_default().to_owned(), reason }
}

fn bad_relocation(section: &Section<'_, '_>, offset: u64, reason: Unfit) -> ImageError {
    let section = section.name().unwrap_or_default().to_owned();
    ImageError::Relocation { section, offset, reason: reason.to_string() }
}

/// `offset` rounded up to a multiple of `alignment`, a power of two.
fn align(offset: usize, alignment: usize) -> Result<usize, ImageError> {
    offset.checked_next_multiple_of(alignment).ok_or(ImageError::TooLarge)
}
