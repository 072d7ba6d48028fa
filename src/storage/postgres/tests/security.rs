//! A server that is spoken to in secret, and whom to believe that he is it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use millpond_actors::error::Error;
use millpond_postgres_server::{Server, Settings};

use super::super::param::Reading;
use super::{PATIENCE, ground, join};
use crate::filter::fields;
use crate::location::Durability;
use crate::storage::postgres::ground::Ground;

/// A server whose certificate is for `localhost`, and signed by the one in the file `ca.crt` of its folder. `None` if there is none to
/// be had, which is said.
fn server() -> Option<Server> {
    let mut server = Server::start(Settings::default())?;
    let folder = server.folder().to_owned();
    let data = folder.join("data");
    server.stop_immediate();
    certify(&folder, &data)?;
    let owner = fs::metadata(&data).unwrap();
    for file in ["server.crt", "server.key"].map(|name| data.join(name)) {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    fs::write(data.join("postgresql.conf"), configuration + "ssl = on\n").unwrap();
    server.come_back();
    Some(server)
}

/// One that signs, and one that is signed.
fn certify(folder: &Path, data: &Path) -> Option<()> {
    let run = |arguments: &str| {
        let arguments =
            arguments.replace("FOLDER", folder.to_str().unwrap()).replace("DATA", data.to_str().unwrap());
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
        openssl.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    fs::write(folder.join("names"), "subjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout";
    let done = run(&format!("req -x509 {key} FOLDER/ca.key -out FOLDER/ca.crt -days 2 -subj /CN=pond"))
        && run(&format!("req {key} DATA/server.key -out FOLDER/server.csr -subj /CN=localhost"))
        && run(
            "x509 -req -in FOLDER/server.csr -CA FOLDER/ca.crt -CAkey FOLDER/ca.key -CAcreateserial -days 2
            -extfile FOLDER/names -out DATA/server.crt",
        );
    if !done {
        assert!(std::env::var_os("MILLPOND_DEMAND_POSTGRES").is_none(), "openssl has made no certificate");
        println!("skipped: there is no openssl that could make a certificate");
    }
    done.then_some(())
}

fn refused(url: &str) -> Error {
    Ground::find(url, Durability::ProcessCrash, false, fields(), PATIENCE).unwrap_err()
}

#[test]
fn a_server_is_believed_whose_certificate_is_signed_by_somebody_trusted() {
    let Some(server) = server() else { return };
    let url = server.fresh().replacen("127.0.0.1", "localhost", 1) + "&sslmode=require";
    let trusting = format!("{url}&sslrootcert={}", server.folder().join("ca.crt").display());

    let ground = ground(&trusting);
    let session = join(&ground);
    let sql =
        "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE backend_type = 'client backend'";
    let rows = ground.connect().unwrap().ask(sql, Vec::new()).unwrap();
    let mut row = Reading::of(&rows[0]);
    let (secret, all) = (row.number().unwrap(), row.number().unwrap());
    assert!(secret == all && all >= 3, "what writes, what shows that it lives, what asks: {secret} of {all}");
    drop(session);

    let unknown = refused(&url);
    assert!(matches!(unknown, Error::Storage { .. }), "{unknown}");
    assert!(unknown.to_string().contains("UnknownIssuer"), "{unknown}");
    assert!(unknown.to_string().contains("sslrootcert=PATH"), "{unknown}");
    let wrong = refused(&trusting.replacen("localhost", "127.0.0.1", 1));
    assert!(wrong.to_string().contains("localhost"), "it is somebody else's certificate: {wrong}");
    let missing = refused(&format!("{url}&sslrootcert=/nowhere/ca.crt"));
    assert!(missing.to_string().contains("/nowhere/ca.crt"), "{missing}");
}

#[test]
fn a_server_that_keeps_no_secrets_is_refused_where_they_are_wanted() {
    let Some(server) = millpond_postgres_server::shared() else { return };
    let refused = refused(&(server.fresh() + "&sslmode=require"));
    assert!(refused.to_string().contains("TLS"), "{refused}");
}
