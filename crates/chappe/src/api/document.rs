//! Changes to the file of the settings: keys come, go and get other values, and all else in it,
//! comments included, stays as somebody wrote it.

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// The table of a user, if he has one.
pub(super) fn user<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut dyn TableLike> {
    document.get_mut("user")?.as_table_like_mut()?.get_mut(name)?.as_table_like_mut()
}

/// Makes the table of a user who has none.
pub(super) fn add_user<'a>(
    document: &'a mut DocumentMut,
    name: &str,
) -> Option<&'a mut dyn TableLike> {
    let is_first = document.is_empty();
    let users = document.entry("user").or_insert_with(|| {
        let mut users = Table::new();
        users.set_implicit(true);
        Item::Table(users)
    });
    let entry = match users {
        Item::Value(_) => Item::Value(Value::InlineTable(InlineTable::new())),
        _ => Item::Table(new_table(is_first)),
    };
    let users = users.as_table_like_mut()?;
    users.insert(name, entry);
    users.get_mut(name)?.as_table_like_mut()
}

/// Takes the table of a user away; whether there was one.
pub(super) fn remove_user(document: &mut DocumentMut, name: &str) -> bool {
    let users = document.get_mut("user").and_then(Item::as_table_like_mut);
    users.is_some_and(|users| users.remove(name).is_some())
}

/// A table, which is made where it is not there.
pub(super) fn table<'a>(
    document: &'a mut DocumentMut,
    name: &str,
) -> Option<&'a mut dyn TableLike> {
    let is_first = document.is_empty();
    document.entry(name).or_insert_with(|| Item::Table(new_table(is_first))).as_table_like_mut()
}

fn new_table(is_first: bool) -> Table {
    let mut table = Table::new();
    if !is_first {
        table.decor_mut().set_prefix("\n");
    }
    table
}

/// Gives a key another value, or none. What stands behind the old value on its line stays.
pub(super) fn put(table: &mut dyn TableLike, key: &str, value: Option<Value>) {
    match (table.get_mut(key).and_then(Item::as_value_mut), value) {
        (Some(old), Some(mut new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        (None, Some(new)) => {
            table.insert(key, Item::Value(new));
        }
        (_, None) => {
            table.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, change: impl FnOnce(&mut DocumentMut)) -> String {
        let mut document = text.parse().unwrap();
        change(&mut document);
        document.to_string()
    }

    /// Comments, order, spaces and spellings stay; what is new comes behind its like.
    #[test]
    fn all_else_stays_as_it_was() {
        let text = "# Ours.\nlisten = [ \"[::]:443\" ]  # all\n\n# The first.\n[user.ann]\n\
                    secret = '00' # hers\nrate-up = 1_000 # slow\n\n[user.ben]\nsecret = \"01\"\n\n\
                    [access]\n# Many.\nper-address-per-second = 9\n";
        let found = change(text, |document| {
            put(user(document, "ann").unwrap(), "rate-up", Some(2000.into()));
            put(user(document, "ann").unwrap(), "quota", Some(5.into()));
            put(add_user(document, "cat").unwrap(), "secret", Some("02".into()));
            put(table(document, "access").unwrap(), "per-address-per-second", None);
            put(table(document, "connections").unwrap(), "total-max", Some(7.into()));
        });
        let expected = text
            .replace("1_000 # slow\n", "2000 # slow\nquota = 5\n")
            .replace("\"01\"\n", "\"01\"\n\n[user.cat]\nsecret = \"02\"\n")
            .replace("# Many.\nper-address-per-second = 9\n", "")
            + "\n[connections]\ntotal-max = 7\n";
        assert_eq!(found, expected);
        let found = change(text, |document| {
            assert!(remove_user(document, "ann") && !remove_user(document, "dan"));
        });
        assert!(found.starts_with("# Ours.") && !found.contains("ann") && !found.contains("hers"));
        assert!(found.contains("[user.ben]"));
    }

    /// Users may be written in several ways.
    #[test]
    fn each_way_to_write_users_is_changed_in_its_own() {
        for (text, expected) in [
            ("", "[user.cat]\nsecret = \"02\"\n"),
            ("[user]\nann = { secret = \"00\" }\n", "ann"),
            ("user = { ann = { secret = \"00\" } }\n", "cat = { secret = \"02\" }"),
            ("user.ann.secret = \"00\"\n", "user.ann.secret"),
        ] {
            let found = change(text, |document| {
                put(add_user(document, "cat").unwrap(), "secret", Some("02".into()));
            });
            assert!(found.contains(expected), "{found}");
            let read: toml::Table = toml::from_str(&found).unwrap();
            assert_eq!(read["user"]["cat"]["secret"].as_str(), Some("02"), "{found}");
            let found = change(&found, |document| assert!(remove_user(document, "cat")));
            let read: toml::Table = toml::from_str(&found).unwrap();
            assert!(read.get("user").is_none_or(|users| users.get("cat").is_none()), "{found}");
        }
    }
}
