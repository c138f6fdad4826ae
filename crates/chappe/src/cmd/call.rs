//! `chappe call`: one function of a server, JSON in, JSON out.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use chappe_client::{
    Authorities, ConnectError, Endpoint, Fallback, FileStorage, InvokeError, LinkError, RawClient,
    Target, WebConfig,
};
use chappe_tl::dynamic::{self, CALL, Object, Value};
use chappe_tl::schema::{Definition, Schema};
use clap::CommandFactory;

use super::files::{self, read_public_key};
use super::tl;
use crate::cli::{CallArgs, Cli};
use crate::exit::{Exit, Unreachable};

pub(crate) fn run(args: CallArgs) -> Result<Exit> {
    let schema = tl::load(args.schema.as_deref())?;
    if args.list {
        for function in dynamic::functions(&schema, args.method.as_deref().unwrap_or("")) {
            println!("{} → {}", dynamic::outline(function), function.result);
        }
        return Ok(Exit::Done);
    }
    let Some(method) = args.method.as_deref() else {
        let mut cli = Cli::command();
        let call = cli.find_subcommand_mut("call").context("the command line has `call`")?;
        call.print_long_help()?;
        return Ok(if args.help { Exit::Done } else { Exit::Usage });
    };
    let function = find(&schema, method)?;
    if args.help {
        println!("{}", dynamic::describe(&schema, function));
        println!("example:\n{:#}", dynamic::example(&schema, function));
        return Ok(Exit::Done);
    }
    let call = read_call(&schema, function, args.arguments.as_deref())?;
    crate::cmd::start_logging(args.log.as_deref().unwrap_or("warn"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(&args, &schema, call))
}

fn find<'s>(schema: &'s Schema, method: &str) -> Result<&'s Definition> {
    schema.function(method).with_context(|| {
        let part = method.rsplit('.').next().unwrap_or(method);
        let like: Vec<&str> = dynamic::functions(schema, part)
            .into_iter()
            .take(8)
            .map(|function| function.name.as_str())
            .collect();
        if like.is_empty() {
            format!("the schema has no function {method}; `chappe call --list` shows all")
        } else {
            format!("the schema has no function {method}; it has {}", like.join(", "))
        }
    })
}

/// The call that the arguments describe.
fn read_call(schema: &Schema, function: &Definition, arguments: Option<&str>) -> Result<Object> {
    let text = match arguments {
        None => "{}".to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            text
        }
        Some(text) => text.to_owned(),
    };
    let mut json: serde_json::Value = serde_json::from_str(&text).context("the arguments")?;
    let Some(fields) = json.as_object_mut() else {
        bail!("the arguments are no JSON object; `chappe call --help {}` shows one", function.name);
    };
    fields.insert("_".into(), function.name.clone().into());
    let value = dynamic::from_json(schema, &CALL, &json)
        .map_err(|error| anyhow!("{error}; see `chappe call --help {}`", function.name))?;
    match value {
        Value::Object(call) => Ok(call),
        _ => bail!("{} is no call", function.name),
    }
}

async fn send(args: &CallArgs, schema: &Schema, call: Object) -> Result<Exit> {
    let (limit, begun) = (Duration::from_secs(args.timeout), Instant::now());
    let server = args.server.clone().context("say which server: --server HOST:PORT")?;
    let key = args.key.as_deref().context("say which key the server has: --key FILE")?;
    let mtproxy = match &server {
        Target::Proxy(proxy) => Some(proxy.endpoint.clone()),
        _ => None,
    };
    let mut builder = RawClient::builder("", [read_public_key(key)?])
        .target(server)
        .dc(args.dc)
        .transport(args.transport)
        .pfs(!args.no_pfs)
        .connect_timeout(limit);
    if let Some(secret) = &args.secret {
        builder = builder.endpoint_secret(secret.clone());
    }
    if let Some(proxy) = &args.proxy {
        builder = builder.proxy(proxy.clone());
    }
    if args.fallback {
        builder = builder.fallback(Fallback::all());
    }
    if let Some(path) = &args.ca {
        let authorities = Authorities::from_pem(files::read(path)?.as_bytes());
        let mut web = WebConfig::default();
        web.authorities = Some(authorities.with_context(|| path.display().to_string())?);
        builder = builder.web(web);
    }
    if let Some(path) = &args.session {
        builder = builder.storage(FileStorage::open(path)?);
    }
    let client = builder.connect().await.map_err(|error| match error {
        ConnectError::Misconfigured(LinkError::PfsUnsupported(_)) => {
            unreachable("the server knows no temporary keys; --no-pfs does without")
        }
        error @ (ConnectError::DcUnnamed { .. } | ConnectError::NoWay) => anyhow!(error),
        error => unreachable(error),
    })?;
    let call = if args.bare { call } else { wrapped(schema, call, args.api_id, mtproxy.as_ref()) };
    let answer_type = dynamic::answer_type(schema, &call)
        .with_context(|| format!("the schema does not say what {} answers", call.name()))?;
    let bytes = dynamic::encode(schema, &CALL, &Value::Object(call.clone()))?;
    let answer = async {
        let outcome = client.invoke_raw(bytes).await;
        client.close().await;
        outcome
    };
    // Connecting ends in time by itself, and says what hindered it.
    let left = limit.saturating_sub(begun.elapsed());
    let outcome = tokio::time::timeout(left, answer).await.map_err(|_| {
        anyhow!(Unreachable).context(format!("no answer came within {} s", args.timeout))
    })?;
    match outcome {
        Ok(answer) => {
            let value = dynamic::decode(schema, answer_type, answer)
                .context("the answer is not what the schema says")?;
            println!("{:#}", dynamic::to_json(&value));
            Ok(Exit::Done)
        }
        Err(InvokeError::Rpc(error)) => {
            let text = serde_json::json!({
                "_": "rpc_error", "error_code": error.code, "error_message": error.message,
            });
            println!("{text:#}");
            Ok(Exit::No)
        }
        Err(error) => Err(unreachable(error)),
    }
}

fn unreachable(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!(Unreachable).context(error.to_string())
}

/// `invokeWithLayer(initConnection(call))`, where the schema has them and says its layer. It names
/// the MTProto proxy that is on the way, but never the secret (PRX-02).
fn wrapped(schema: &Schema, call: Object, api_id: i32, mtproxy: Option<&Endpoint>) -> Object {
    let has = |name| schema.function(name).is_some();
    let Some(layer) = schema.layer().filter(|_| has("invokeWithLayer") && has("initConnection"))
    else {
        return call;
    };
    let mut init = Object::new("initConnection")
        .with("api_id", api_id)
        .with("device_model", "chappe call")
        .with("system_version", std::env::consts::OS)
        .with("app_version", env!("CARGO_PKG_VERSION"))
        .with("system_lang_code", "en")
        .with("lang_pack", "")
        .with("lang_code", "en")
        .with("query", call);
    if let Some(mtproxy) = mtproxy.filter(|_| schema.constructor("inputClientProxy").is_some()) {
        let named = Object::new("inputClientProxy")
            .with("address", mtproxy.host())
            .with("port", i32::from(mtproxy.port()));
        init = init.with("proxy", named);
    }
    Object::new("invokeWithLayer").with("layer", layer as i32).with("query", init)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule: PRX-02: the proxy on the way is named by host and port, and only if there is one.
    #[test]
    fn the_proxy_is_named_without_its_secret() {
        let schema = tl::load(None).unwrap();
        let target = "tg://proxy?server=p.example&port=443&secret=00112233445566778899aabbccddeeff";
        let Ok(Target::Proxy(proxy)) = target.parse() else { panic!("{target}") };
        let told = |mtproxy| {
            let call = wrapped(&schema, Object::new("help.getConfig"), 1, mtproxy);
            let bytes = dynamic::encode(&schema, &CALL, &Value::Object(call)).unwrap();
            let read = dynamic::decode(&schema, &CALL, bytes).unwrap();
            dynamic::to_json(&read)["query"]["proxy"].clone()
        };
        let named = serde_json::json!(
            { "_": "inputClientProxy", "address": "p.example", "port": 443 }
        );
        assert_eq!(told(Some(&proxy.endpoint)), named);
        assert!(told(None).is_null());
    }
}
