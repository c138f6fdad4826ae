//! PostgreSQL over a network: who answers there, and who asks.

use std::time::Duration;

use chappe_backend::scratch::Scratch;
use chappe_backend::sql::sql;
use chappe_backend::sqlx::{Connection, PgConnection, raw_sql};
use chappe_backend::{PostgresConfig, SqlStore, StoreError};
use rcgen::generate_simple_self_signed;

/// Rule:   with `sslmode=verify-full` nobody but the holder of the certificate is talked to, and
///         nobody but the holder of the password is answered.
/// Source: docs/guide/serve.md, PostgreSQL; SEC-53.
#[tokio::test]
async fn database_behind_a_network_proves_itself() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let port = port.expect("an address").port();
    let server = Scratch::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
    let certificates = [(); 2]
        .map(|()| generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate"));
    server.write("server.crt", &certificates[0].cert.pem());
    server.write("server.key", &certificates[0].signing_key.serialize_pem());
    server
        .write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    let mut owner =
        PgConnection::connect(&format!("{}&port={port}", server.url())).await.expect("us");
    for setting in [
        "ALTER ROLE chappe PASSWORD 's3cret/%'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        raw_sql(setting).execute(&mut owner).await.expect("it is set");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["its.pem", "another.pem"].map(|name| folder.path().join(name));
    for (file, certificate) in files.iter().zip(&certificates) {
        std::fs::write(file, certificate.cert.pem()).expect("it is written");
    }
    let open = async |password: &str, rest: &str| {
        let url = format!("postgres://chappe:{password}@localhost:{port}/postgres?{rest}");
        let mut config = PostgresConfig::from_url(&url).expect("an address");
        config.wait_max = Duration::from_secs(5);
        SqlStore::postgres(config).await
    };
    let trusting =
        files.each_ref().map(|file| format!("sslmode=verify-full&sslrootcert={}", file.display()));
    // What is set takes effect a moment later.
    let mut opened = open("s3cret%2F%25", &trusting[0]).await;
    for _ in 0..100 {
        if opened.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        opened = open("s3cret%2F%25", &trusting[0]).await;
    }
    let store = opened.unwrap_or_else(|error| panic!("{error}"));
    let encrypted = sql("SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()");
    let row = store.database().row(encrypted).await.expect("an answer");
    assert_eq!(row.expect("a row").read(), Ok(1));

    for (password, rest, says) in [
        ("s3cret%2F%25", &*trusting[1], "no TLS"),
        ("s3cret%2F", &*trusting[0], "check user and password"),
        ("s3cret%2F%25", "sslmode=disable", "check user and password"),
    ] {
        let Err(error) = open(password, rest).await else { panic!("{rest}") };
        let said = error.to_string();
        assert!(matches!(error, StoreError::Unusable { .. }), "{said}");
        assert!(said.contains(says) && !said.contains("s3cret"), "{said}");
    }
}
