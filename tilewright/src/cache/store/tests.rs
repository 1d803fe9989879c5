use std::os::unix::fs::PermissionsExt;
use std::thread;

use super::*;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    folder
}

fn key(name: &str) -> Key {
    KeyOf::default().part("name", name).key()
}

/// Some files whose bytes all follow from the name.
fn files(name: &str, bytes: usize) -> Files {
    let code = (0..bytes).map(|at| (at as u8).wrapping_mul(31).wrapping_add(name.len() as u8));
    [("code.o".to_string(), code.collect()), ("text".to_string(), name.as_bytes().to_vec())].into()
}

fn set_used(store: &Store, name: &str, seconds: u64) {
    let seal = File::open(store.root().join(&key(name).0).join(SEAL)).expect("it was written");
    seal.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("it is ours");
}

#[test]
fn what_is_written_is_read_and_nothing_else_is() {
    let folder = folder();
    let store = Store::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(store.read(&key("a")), None);
    store.write(&key("a"), &files("a", 100)).unwrap();
    assert_eq!(store.read(&key("a")), Some(files("a", 100)));
    assert_eq!(store.read(&key("b")), None);
    let other = Store::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(other.read(&key("a")), Some(files("a", 100)));
    other.clear().unwrap();
    assert_eq!((store.read(&key("a")), store.size().unwrap()), (None, (0, 0)));
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    let keys = [
        KeyOf::default().part("a", "bc").part("d", ""),
        KeyOf::default().part("a", "b").part("cd", ""),
        KeyOf::default().part("a", "bc"),
        KeyOf::default().part("ab", "c").part("d", ""),
    ];
    let keys: std::collections::BTreeSet<Key> = keys.into_iter().map(KeyOf::key).collect();
    assert_eq!(keys.len(), 4);
}

/// Every byte of every file of an entry, the seal among them, each to several other values.
#[test]
fn no_byte_can_be_changed() {
    let folder = folder();
    let store = Store::open(folder.path(), 1 << 20).unwrap();
    store.write(&key("a"), &files("a", 40)).unwrap();
    let entry = store.root().join(&key("a").0);
    for name in [SEAL, "code.o", "text"] {
        let path = entry.join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                fs::write(&path, &bytes).unwrap();
                assert_eq!(store.read(&key("a")), None, "byte {at} of {name}");
            }
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(store.read(&key("a")), None, "{length} bytes of {name}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(store.read(&key("a")), None, "without {name}");
        // What is damaged is replaced.
        store.write(&key("a"), &files("a", 40)).unwrap();
        assert_eq!(store.read(&key("a")), Some(files("a", 40)));
    }
}

#[test]
fn an_entry_under_the_name_of_another_is_not_read() {
    let folder = folder();
    let store = Store::open(folder.path(), 1 << 20).unwrap();
    store.write(&key("a"), &files("a", 40)).unwrap();
    fs::rename(store.root().join(&key("a").0), store.root().join(&key("b").0)).unwrap();
    assert_eq!(store.read(&key("b")), None);
}

/// A seal that is right in itself and lists a file elsewhere.
#[test]
fn files_outside_of_the_entry_are_not_read() {
    let folder = folder();
    let store = Store::open(folder.path(), 1 << 20).unwrap();
    let outside = folder.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    for name in ["../outside", outside.to_str().unwrap(), "..", "."] {
        let listed: Files = [(name.to_string(), b"secret".to_vec())].into();
        let entry = store.root().join(&key("a").0);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join(SEAL), sealed(&key("a"), &listed)).unwrap();
        assert_eq!(store.read(&key("a")), None, "{name}");
    }
}

#[test]
fn the_least_recently_used_entries_make_room() {
    let folder = folder();
    let store = Store::open(folder.path(), 4000).unwrap();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        store.write(&key(name), &files(name, 900)).unwrap();
        set_used(&store, name, at as u64);
    }
    assert!(store.read(&key("a")).is_some(), "a is used again");
    store.write(&key("d"), &files("d", 900)).unwrap();
    let left = ["a", "b", "c", "d"].map(|name| store.read(&key(name)).is_some());
    assert_eq!(left, [true, false, true, true]);
    assert!(store.size().unwrap().1 <= 4000);
    // What is larger than all that there may be is not kept.
    store.write(&key("large"), &files("large", 9000)).unwrap();
    assert!(store.read(&key("large")).is_none());
}

#[test]
fn what_a_process_left_behind_is_swept_away_when_it_is_old() {
    let folder = folder();
    let store = Store::open(folder.path(), 1000).unwrap();
    let [old, new] = ["old", "new"].map(|name| store.root().join(format!("{TEMPORARY}{name}")));
    fs::create_dir(&old).unwrap();
    fs::create_dir(&new).unwrap();
    let long_ago = SystemTime::now() - 2 * ABANDONED;
    File::open(&old).unwrap().set_modified(long_ago).unwrap();
    store.write(&key("a"), &files("a", 10)).unwrap();
    assert_eq!((old.exists(), new.exists()), (false, true));
}

#[test]
fn a_folder_that_others_can_open_is_refused() {
    let folder = folder();
    for mode in [0o755, 0o777, 0o770, 0o701] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = Store::open(folder.path(), 1000).unwrap_err().to_string();
        assert!(refused.contains(&format!("is open to others: its mode is {mode:o}")), "{refused}");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let store = Store::open(folder.path(), 1000).unwrap();
    store.write(&key("a"), &files("a", 10)).unwrap();
    // Also when it is opened to others later.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(store.read(&key("a")).is_none() && store.write(&key("a"), &files("a", 10)).is_err());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Store::open(&file, 1000).is_err());
}

#[test]
fn a_new_folder_is_private_whoever_may_read_the_one_around_it() {
    let folder = folder();
    let root = folder.path().join("a/b");
    Store::open(&root, 1000).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
}

/// Threads stand for processes: the store keeps nothing that they could share but a count.
#[test]
fn many_write_read_and_remove_at_once() {
    let folder = folder();
    let names: Vec<String> = (0..6).map(|name| format!("{name}")).collect();
    thread::scope(|scope| {
        for worker in 0..8_usize {
            let (root, names) = (folder.path(), &names);
            scope.spawn(move || {
                let store = Store::open(root, 3000).unwrap();
                for round in 0..60 {
                    let name = &names[(worker + round) % names.len()];
                    match store.read(&key(name)) {
                        Some(found) => assert_eq!(found, files(name, 700)),
                        // Another may be removing the folder that this one wants to be: then it is not kept.
                        None => drop(store.write(&key(name), &files(name, 700))),
                    }
                    if worker == 0 && round % 20 == 19 {
                        store.clear().unwrap_or_default();
                    }
                }
            });
        }
    });
    let store = Store::open(folder.path(), 3000).unwrap();
    store.write(&key("last"), &files("last", 700)).unwrap();
    assert!(store.size().unwrap().1 <= 3000);
    let left = fs::read_dir(store.root()).unwrap().flatten();
    let left: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| is_key(name)), "{left:?}");
}
