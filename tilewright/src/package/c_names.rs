//! Names in C: those of the definition, unless C or its library has them for something else.

/// Keywords, functions and macros, with comments that begin with `#`.
const TAKEN: &str = include_str!("c_names.txt");

/// The name of a function, a tensor or a size in C: `name`, with `_tc` behind it where C has that name for something else, as
/// `int` and `exp`, or where it is one of the header's own.
pub fn c_name(name: &str) -> String {
    let own = ["_", "tw_", "tilewright", "TILEWRIGHT"].iter().any(|prefix| name.starts_with(prefix));
    let is_taken = TAKEN.lines().filter(|line| !line.starts_with('#')).any(|line| line.split(' ').any(|it| it == name));
    match own || is_taken || name.ends_with("_tc") {
        true => format!("{name}_tc"),
        false => name.to_owned(),
    }
}

/// The names of a function's parameters, of which no two may be equal, nor one that of the function: the later ones get `_2`,
/// `_3` and so on.
pub fn parameters<'a>(names: impl Iterator<Item = &'a str>, others: &[&str]) -> Vec<String> {
    let mut taken: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
    names
        .map(|name| {
            let own = c_name(name);
            let mut given = own.clone();
            for number in 2.. {
                if !taken.contains(&given) {
                    break;
                }
                given = format!("{own}_{number}");
            }
            taken.push(given.clone());
            given
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_c_has_is_left_to_it() {
        for (name, expected) in [
            ("mm", "mm"),
            ("A", "A"),
            ("exp", "exp_tc"),
            ("write", "write_tc"),
            ("int", "int_tc"),
            ("template", "template_tc"),
            ("I", "I_tc"),
            ("int_tc", "int_tc_tc"),
            ("tilewright_tensor", "tilewright_tensor_tc"),
            ("_x", "_x_tc"),
        ] {
            assert_eq!(c_name(name), expected);
        }
    }

    #[test]
    fn no_two_parameters_have_one_name() {
        let names = ["N", "N", "call", "N_2"];
        assert_eq!(parameters(names.into_iter(), &["call"]), ["N", "N_2", "call_2", "N_2_2"]);
    }
}
