//! The tables below `[limits]` in the file: every limit and timer of a server under the name that
//! it has in `ServerConfig`. docs/guide/limits.md says what each costs.

use std::time::Duration;

use anyhow::{Result, bail};
use chappe_server::ServerConfig;
use serde::Deserialize;

/// A value as the file has it, made into a value as the settings have it.
trait Value: Sized {
    type Written: for<'de> Deserialize<'de> + std::fmt::Debug + Clone + PartialEq;
    fn read(written: &Self::Written) -> Option<Self>;
    /// How the file would have it.
    #[cfg(test)]
    fn write(&self) -> String;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            type Written = Self;
            fn read(written: &Self) -> Option<Self> {
                Some(*written)
            }
            #[cfg(test)]
            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(usize, u32, i32);

/// Seconds, with a fraction or without.
impl Value for Duration {
    type Written = f64;
    fn read(written: &f64) -> Option<Self> {
        Self::try_from_secs_f64(*written).ok()
    }
    #[cfg(test)]
    fn write(&self) -> String {
        format!("{:?}", self.as_secs_f64())
    }
}

macro_rules! limits {
    ($($table:ident |$config:ident| $place:expr; { $($key:ident: $value:ty,)* })*) => {
        /// What the file says of limits.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Limits {
            $($table: tables::$table,)*
        }

        mod tables {
            use super::*;
            $(
                #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
                #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
                #[allow(non_camel_case_types, reason = "the table's name in the file")]
                pub(super) struct $table {
                    $(pub(super) $key: Option<<$value as Value>::Written>,)*
                }
            )*
        }

        impl Limits {
            /// Sets what the file sets.
            pub(crate) fn apply(&self, config: &mut ServerConfig) -> Result<()> {
                $($(
                    if let Some(written) = &self.$table.$key {
                        let Some(value) = <$value as Value>::read(written) else {
                            bail!(
                                "limits.{}: {written:?} is not possible",
                                key(stringify!($table), stringify!($key)),
                            );
                        };
                        let $config = &mut *config;
                        $place.$key = value;
                    }
                )*)*
                Ok(())
            }

            /// Every key with the default of a server, both as in the file.
            #[cfg(test)]
            fn defaults() -> Vec<(String, String)> {
                let config = ServerConfig::default();
                vec![$($(
                    (key(stringify!($table), stringify!($key)), {
                        let $config = &config;
                        $place.$key.write()
                    }),
                )*)*]
            }
        }
    };
}

fn key(table: &str, key: &str) -> String {
    format!("{table}.{}", key.replace('_', "-"))
}

limits! {
    server |config| config; {
        keys_unused_max: usize,
        result_max_bytes: usize,
        drain_max: Duration,
    }
    connections |config| config.connections; {
        total_max: usize,
        per_address_max: usize,
    }
    link |config| config.link; {
        packet_max_bytes: usize,
        first_packet_wait_max: Duration,
        idle_max: Duration,
        errors_per_second_max: usize,
    }
    datagrams |config| config.datagrams; {
        paths_max: usize,
        idle_max: Duration,
        held_max: usize,
        refusals_max: usize,
        hellos_max: usize,
    }
    middle |config| config.middle; {
        clients_max: usize,
        client_max_bytes: usize,
        outbound_max_bytes: usize,
        greeting_max: Duration,
        silent_max: Duration,
    }
    drive |config| config.drive; {
        outbound_soft_max_bytes: usize,
        outbound_max_bytes: usize,
        stalled_max: Duration,
        flush_max: Duration,
        linger_max: Duration,
    }
    http |config| config.http; {
        body_wait_max: Duration,
    }
    websocket |config| config.websocket; {
        ping_interval: Duration,
    }
    handshake |config| config.handshake; {
        exchanges_max: usize,
        exchanges_per_link_max: usize,
        exchanges_per_address_max: usize,
        life: Duration,
        retries_max: u32,
        temporary_key_life_max: i32,
    }
    sessions |config| config.sessions; {
        per_key_max: usize,
        links_per_key_max: usize,
        http_links_per_key_max: usize,
        total_max: usize,
        memory_max_bytes: usize,
        idle_max: Duration,
        ids_kept: Duration,
        inputs_max: usize,
        inputs_max_bytes: usize,
    }
    session |config| config.session; {
        ack_delay_max: Duration,
        calls_max: usize,
        calls_max_bytes: usize,
        after_max: usize,
        after_wait_max: Duration,
        resend_max_bytes: usize,
        gzip_min_bytes: usize,
        inflated_max_bytes: usize,
    }
    poll |config| config.session.poll; {
        wait: Duration,
        wait_max: Duration,
        resend_after: Duration,
        age_max: Duration,
        messages_max: usize,
        response_max_bytes: usize,
    }
    inbox |config| config.session.inbox; {
        ids_kept: usize,
        ids_max: usize,
        span: Duration,
    }
    outbox |config| config.session.outbox; {
        messages_max: usize,
        bytes_max: usize,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const GUIDE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/limits.md"));

    /// The guide has a row for each key, and the default in it is the default.
    #[test]
    fn the_guide_lists_every_limit_with_its_default() {
        let listed: BTreeSet<(String, String)> = GUIDE
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(key, rest)| (key, rest.split(" |").next().unwrap_or_default()))
            .filter(|(key, _)| key.contains('.') && !key.starts_with("client."))
            .map(|(key, default)| (key.to_owned(), default.split(' ').next().unwrap().to_owned()))
            .collect();
        let known: BTreeSet<(String, String)> = Limits::defaults().into_iter().collect();
        let missing: Vec<_> = known.difference(&listed).collect();
        let wrong: Vec<_> = listed.difference(&known).collect();
        assert!(missing.is_empty() && wrong.is_empty(), "missing {missing:?}, wrong {wrong:?}");
    }

    /// Each key is taken, and what it says arrives in the settings.
    #[test]
    fn every_limit_can_be_set() {
        for (name, default) in Limits::defaults() {
            let (table, key) = name.split_once('.').unwrap();
            let other = if default.contains('.') { "7.5" } else { "7" };
            let limits: Limits = toml::from_str(&format!("[{table}]\n{key} = {other}")).unwrap();
            let mut config = ServerConfig::default();
            limits.apply(&mut config).unwrap();
            assert_ne!(format!("{config:?}"), format!("{:?}", ServerConfig::default()), "{name}");
        }
    }

    #[test]
    fn a_time_below_zero_is_refused_by_name() {
        let limits: Limits = toml::from_str("[link]\nidle-max = -1.0").unwrap();
        let error = limits.apply(&mut ServerConfig::default()).unwrap_err().to_string();
        assert!(error.contains("limits.link.idle-max"), "{error}");
    }
}
