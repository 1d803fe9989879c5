//! What each kind of relocation writes.
//!
//! The letters of the formulas are those of the ABI documents: `S` the address of the symbol, `A` the addend, `P`
//! the address of the place, `G` the address of the symbol's slot in the global offset table. Sources: "System V ABI,
//! AMD64 Architecture Processor Supplement", table 4.9, and "ELF for the Arm 64-bit Architecture", section 5.7.

use object::elf::{self, RelocationType};

/// The machine that an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

/// The machine of this process.
pub(super) const HOST: Machine = if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 };

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("objects can be mapped on x86-64 and on 64-bit Arm only");

/// A place to relocate: `offset` of the section with these bytes, which will run at `address`.
pub(super) struct Place<'a> {
    pub bytes: &'a mut [u8],
    pub offset: u64,
    pub address: u64,
}

/// Why a relocation cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its kind is unknown")]
    Unknown,
    #[error("it names no symbol of a section of the image")]
    NoSymbol,
    #[error("it lies outside its section")]
    OutsideSection,
    #[error("its value does not fit in its field")]
    OutOfRange,
    #[error("its value is not aligned as the instruction needs")]
    Misaligned,
}

impl Machine {
    /// Its number in the header of an ELF file.
    pub fn elf_number(self) -> elf::Machine {
        match self {
            Machine::X86_64 => elf::EM_X86_64,
            Machine::Aarch64 => elf::EM_AARCH64,
        }
    }

    /// Does this kind of relocation refer to a slot of the global offset table (`G`) instead of the symbol (`S`)?
    pub fn goes_through_table(self, kind: RelocationType) -> bool {
        match self {
            Machine::X86_64 => {
                matches!(kind, elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX)
            }
            Machine::Aarch64 => matches!(kind, elf::R_AARCH64_ADR_GOT_PAGE | elf::R_AARCH64_LD64_GOT_LO12_NC),
        }
    }

    /// Applies a relocation; `target` is `S`, or `G` where it goes through the table.
    pub fn apply(self, kind: RelocationType, place: Place<'_>, target: u64, addend: i64) -> Result<(), Unfit> {
        let value = target.wrapping_add_signed(addend);
        match self {
            Machine::X86_64 => apply_x86_64(kind, place, value),
            Machine::Aarch64 => apply_aarch64(kind, place, value),
        }
    }
}

/// `value` is `S + A` or `G + A`.
fn apply_x86_64(kind: RelocationType, mut place: Place<'_>, value: u64) -> Result<(), Unfit> {
    let relative = value.wrapping_sub(place.address) as i64;
    match kind {
        elf::R_X86_64_NONE => Ok(()),
        elf::R_X86_64_64 => place.store(value.to_le_bytes()),
        elf::R_X86_64_PC64 => place.store(relative.to_le_bytes()),
        elf::R_X86_64_PC32
        | elf::R_X86_64_PLT32
        | elf::R_X86_64_GOTPCREL
        | elf::R_X86_64_GOTPCRELX
        | elf::R_X86_64_REX_GOTPCRELX => place.store(fit::<i32, _>(relative)?.to_le_bytes()),
        elf::R_X86_64_32 => place.store(fit::<u32, _>(value)?.to_le_bytes()),
        elf::R_X86_64_32S => place.store(fit::<i32, _>(value as i64)?.to_le_bytes()),
        _ => Err(Unfit::Unknown),
    }
}

/// `value` is `S + A` or `G + A`.
fn apply_aarch64(kind: RelocationType, mut place: Place<'_>, value: u64) -> Result<(), Unfit> {
    let relative = value.wrapping_sub(place.address) as i64;
    match kind {
        elf::R_AARCH64_NONE => Ok(()),
        elf::R_AARCH64_ABS64 => place.store(value.to_le_bytes()),
        elf::R_AARCH64_ABS32 => place.store(fit::<u32, _>(value)?.to_le_bytes()),
        elf::R_AARCH64_PREL64 => place.store(relative.to_le_bytes()),
        elf::R_AARCH64_PREL32 => place.store(fit::<i32, _>(relative)?.to_le_bytes()),
        elf::R_AARCH64_CALL26 | elf::R_AARCH64_JUMP26 => place.insert(scaled(relative, 2, 26)?, 0, 26),
        elf::R_AARCH64_ADR_PREL_LO21 => place.insert_address(scaled(relative, 0, 21)?),
        elf::R_AARCH64_ADR_PREL_PG_HI21 | elf::R_AARCH64_ADR_GOT_PAGE => {
            let pages = (value & !0xfff).wrapping_sub(place.address & !0xfff) as i64;
            place.insert_address(scaled(pages, 12, 21)?)
        }
        elf::R_AARCH64_ADD_ABS_LO12_NC | elf::R_AARCH64_LDST8_ABS_LO12_NC => place.insert_page_offset(value, 0),
        elf::R_AARCH64_LDST16_ABS_LO12_NC => place.insert_page_offset(value, 1),
        elf::R_AARCH64_LDST32_ABS_LO12_NC => place.insert_page_offset(value, 2),
        elf::R_AARCH64_LDST64_ABS_LO12_NC | elf::R_AARCH64_LD64_GOT_LO12_NC => place.insert_page_offset(value, 3),
        elf::R_AARCH64_LDST128_ABS_LO12_NC => place.insert_page_offset(value, 4),
        _ => Err(Unfit::Unknown),
    }
}

/// `value / 2^shift` as a signed field of `width` bits.
fn scaled(value: i64, shift: u32, width: u32) -> Result<u32, Unfit> {
    if value & ((1 << shift) - 1) != 0 {
        return Err(Unfit::Misaligned);
    }
    let field = value >> shift;
    let limit = 1 << (width - 1);
    if (-limit..limit).contains(&field) { Ok(field as u32 & ((1 << width) - 1)) } else { Err(Unfit::OutOfRange) }
}

fn fit<T: TryFrom<V>, V>(value: V) -> Result<T, Unfit> {
    T::try_from(value).map_err(|_| Unfit::OutOfRange)
}

impl Place<'_> {
    /// Writes `bytes` to the place.
    fn store<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Unfit> {
        *self.field::<N>()? = bytes;
        Ok(())
    }

    /// Puts the low `width` bits of `value` at bit `at` of the instruction.
    fn insert(&mut self, value: u32, at: u32, width: u32) -> Result<(), Unfit> {
        let field = self.field::<4>()?;
        let mask = ((1 << width) - 1) << at;
        *field = (u32::from_le_bytes(*field) & !mask | (value << at) & mask).to_le_bytes();
        Ok(())
    }

    /// The 21 bits of `adr` and `adrp`: the low two at bit 29, the others at bit 5.
    fn insert_address(&mut self, value: u32) -> Result<(), Unfit> {
        self.insert(value, 29, 2)?;
        self.insert(value >> 2, 5, 19)
    }

    /// The offset in its page of an operand of `2^shift` bytes: 12 bits at bit 10.
    fn insert_page_offset(&mut self, value: u64, shift: u32) -> Result<(), Unfit> {
        let offset = (value & 0xfff) as u32;
        if offset & ((1 << shift) - 1) != 0 {
            return Err(Unfit::Misaligned);
        }
        self.insert(offset >> shift, 10, 12)
    }

    fn field<const N: usize>(&mut self) -> Result<&mut [u8; N], Unfit> {
        let start = usize::try_from(self.offset).map_err(|_| Unfit::OutsideSection)?;
        self.bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut()).ok_or(Unfit::OutsideSection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: u64 = 0x7f00_0000_1000;

    /// The instruction or the data at a place of four bytes after a relocation.
    fn check(machine: Machine, kind: RelocationType, before: u32, target: u64, expected: Result<u32, Unfit>) {
        let mut bytes = before.to_le_bytes();
        let place = Place { bytes: &mut bytes, offset: 0, address: ADDRESS };
        let applied = machine.apply(kind, place, target, 0);
        assert_eq!(applied.map(|()| u32::from_le_bytes(bytes)), expected);
    }

    #[test]
    fn x86_64_fields() {
        let check = |kind, target, expected| check(Machine::X86_64, kind, 0, target, expected);
        check(elf::R_X86_64_PC32, ADDRESS - 4, Ok(0xffff_fffc));
        check(elf::R_X86_64_PLT32, ADDRESS + 0x7fff_ffff, Ok(0x7fff_ffff));
        check(elf::R_X86_64_PC32, ADDRESS + 0x8000_0000, Err(Unfit::OutOfRange));
        check(elf::R_X86_64_32, 0xffff_ffff, Ok(0xffff_ffff));
        check(elf::R_X86_64_32, 0x1_0000_0000, Err(Unfit::OutOfRange));
        check(elf::R_X86_64_32S, 0xffff_ffff, Err(Unfit::OutOfRange));
        check(elf::R_X86_64_64, ADDRESS, Err(Unfit::OutsideSection));
        check(elf::R_X86_64_TLSGD, ADDRESS, Err(Unfit::Unknown));
    }

    #[test]
    fn aarch64_fields() {
        let check = |kind, before, target, expected| check(Machine::Aarch64, kind, before, target, expected);
        check(elf::R_AARCH64_CALL26, 0x9400_0000, ADDRESS + 0x100, Ok(0x9400_0040)); // bl +0x100
        check(elf::R_AARCH64_CALL26, 0x9400_0000, ADDRESS - 4, Ok(0x97ff_ffff)); // bl -4
        check(elf::R_AARCH64_CALL26, 0x9400_0000, ADDRESS + 2, Err(Unfit::Misaligned));
        check(elf::R_AARCH64_CALL26, 0x9400_0000, ADDRESS + (1 << 27), Err(Unfit::OutOfRange));
        check(elf::R_AARCH64_ADR_PREL_PG_HI21, 0x9000_0000, ADDRESS + 0x3123, Ok(0xf000_0000)); // adrp x0, +3 pages
        check(elf::R_AARCH64_ADD_ABS_LO12_NC, 0x9100_0000, ADDRESS + 0x123, Ok(0x9104_8c00)); // add x0, x0, #0x123
        check(elf::R_AARCH64_LDST64_ABS_LO12_NC, 0xf940_0000, ADDRESS + 0x128, Ok(0xf940_9400)); // ldr x0, [x0, #0x128]
        check(elf::R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc0_0000, ADDRESS + 8, Err(Unfit::Misaligned));
    }
}
