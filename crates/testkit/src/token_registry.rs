//! A registry of a test's own that logs in as Harbor does without TLS: requests need a token, which a service at the
//! registry's own address gives for a name and password (Docker's token authentication; tokens are RFC 7519).

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use axum::{
    Json, Router,
    extract::{RawQuery, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, KeyPair};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    child::wait_until_up,
    env::{EnginePart, Login, TestEnv},
    ports::free_ports,
    reverse_proxy::ReverseProxy,
};

const LIMIT: Duration = Duration::from_mins(1);
/// Who gives the tokens, and for whom.
const ISSUER: &str = "the test's token service";
const SERVICE: &str = "the test's registry";
/// Until when a token holds, in seconds since 1970: longer than any test. The tests have no clock to hand around.
const EXPIRES: u64 = 4_102_444_800;

/// A running registry. It ends when it is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct TokenRegistry {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// Who may do everything there.
    pub user: Login,
    child: Child,
    front: JoinHandle<()>,
    folder: TempDir,
}

struct Front {
    registry: ReverseProxy,
    user: Login,
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
}

impl TokenRegistry {
    /// Starts one that holds no image.
    ///
    /// # Errors
    /// Its log when it does not answer.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let user = Login::random("robot$tests");
        let [behind] = free_ports()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();

        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![ISSUER.to_owned()])?.self_signed(&key)?;
        let authority = folder.path().join("tokens.pem");
        std::fs::write(&authority, certificate.pem())?;
        let configuration = json!({
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("storage")}},
            "auth": {"token": {
                "realm": format!("http://{address}/service/token"),
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": authority,
            }},
            "http": {"addr": format!("127.0.0.1:{behind}"), "relativeurls": true},
        });
        // JSON is YAML too.
        let file = folder.path().join("registry.yml");
        std::fs::write(&file, configuration.to_string())?;
        let child = serve(&file, &folder)?;

        let front = Front {
            registry: ReverseProxy::new(format!("http://127.0.0.1:{behind}"), None)?,
            user: user.clone(),
            key: EcdsaKeyPair::from_pkcs8(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &key.serialize_der(),
                &SystemRandom::new(),
            )
            .map_err(|error| anyhow!("the token service's key cannot be used: {error}"))?,
            certificate: certificate.der().to_vec(),
        };
        let routes = Router::new()
            .route("/service/token", get(token))
            .fallback(forward)
            .with_state(Arc::new(front));
        let front = tokio::spawn(async move {
            // Ends with the task alone.
            let _: std::io::Result<()> = axum::serve(listener, routes).await;
        });
        let mut registry = Self {
            address,
            user,
            child,
            front,
            folder,
        };
        let log = registry.folder.path().join("log");
        let answers = || std::net::TcpStream::connect(("127.0.0.1", behind)).is_ok();
        wait_until_up(&mut registry.child, "the registry", &log, LIMIT, answers).await?;
        Ok(registry)
    }

    /// Puts an image of the parts' registry here under the same name, by way of an engine; its full name.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn bring(&self, env: &TestEnv, engine: &EnginePart, name: &str) -> Result<String> {
        let (from, to) = (env.image(name), format!("{}/{name}", self.address));
        crate::container::pull(env, engine, &from)?;
        let mut tag = env.docker(engine);
        tag.args(["tag", &from, &to]);
        run(tag).await?;
        // The account goes into a configuration of its own, which no other test reads.
        let settings = tempfile::tempdir()?;
        let account = basic(&self.user);
        std::fs::write(
            settings.path().join("config.json"),
            json!({"auths": {&self.address: {"auth": account}}}).to_string(),
        )?;
        let mut push = env.docker(engine);
        push.env("DOCKER_CONFIG", settings.path())
            .args(["push", "--quiet", &to]);
        run(push).await?;
        let mut forget = env.docker(engine);
        forget.args(["rmi", &to]);
        run(forget).await?;
        Ok(to)
    }
}

impl Drop for TokenRegistry {
    fn drop(&mut self) {
        self.front.abort();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a program while this thread goes on serving.
async fn run(command: Command) -> Result<()> {
    let output = tokio::process::Command::from(command).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}

fn serve(configuration: &std::path::Path, folder: &TempDir) -> Result<Child> {
    let log = File::create(folder.path().join("log"))?;
    // A test that is killed leaves no registry behind.
    Command::new("setpriv")
        .args(["--pdeathsig=KILL", "docker-registry", "serve"])
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("docker-registry could not be started")
}

/// An account as HTTP's Basic authentication writes it (RFC 7617).
fn basic(user: &Login) -> String {
    BASE64_STANDARD.encode(format!("{}:{}", user.username, user.password))
}

/// Hands a request on to the registry behind, and its answer back.
async fn forward(State(front): State<Arc<Front>>, request: Request) -> Response {
    front.registry.forward(request).await
}

/// Gives everything that was asked for to the one who may do everything.
async fn token(
    State(front): State<Arc<Front>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let account = basic(&front.user);
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given != Some(&format!("Basic {account}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(&query.unwrap_or_default()).unwrap_or_default();
    let access: Vec<Value> = query
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, scopes)| scopes.split(' '))
        .filter_map(|scope| {
            let mut words = scope.rsplitn(2, ':');
            let actions: Vec<_> = words.next()?.split(',').collect();
            let (kind, name) = words.next()?.split_once(':')?;
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    match front.sign(&access) {
        Ok(token) => Json(json!({"token": token})).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Front {
    fn sign(&self, access: &[Value]) -> Result<String> {
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [BASE64_STANDARD.encode(&self.certificate)],
        });
        let claims = json!({
            "iss": ISSUER,
            "sub": self.user.username,
            "aud": SERVICE,
            "nbf": 0,
            "iat": 0,
            "exp": EXPIRES,
            "jti": format!("{:032x}", rand::random::<u128>()),
            "access": access,
        });
        let text = format!("{}.{}", part(header), part(claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), text.as_bytes())
            .map_err(|error| anyhow!("the token cannot be signed: {error}"))?;
        Ok(format!(
            "{text}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }
}
