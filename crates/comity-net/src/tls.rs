//! TLS over the safe connector: rustls with aws-lc-rs, versions 1.2 and 1.3, and the roots of the
//! operating system or of the operator. No certificate is loaded before the first https
//! connection, so a node without any still starts and serves, and says plainly what is missing.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Uri, uri::Scheme};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio::{sync::OnceCell, time::timeout};
use tower_service::Service;

use crate::{
    address::AddressPolicy,
    connect::{BoxFuture, ConnectError, PeerStream, SafeConnector},
    limits::CONNECT_DEADLINE,
};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// The operating system's certificate authorities.
    #[default]
    Native,
    /// These authorities and no others.
    Only(Arc<RootCertStore>),
}

/// Connects to peers by https, and by http where the policy admits it.
#[derive(Clone)]
pub struct PeerConnector {
    safe: SafeConnector,
    trust: Trust,
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl PeerConnector {
    /// Makes a connector that adds TLS to the safe one.
    pub fn new(safe: SafeConnector, trust: Trust) -> Self {
        Self { safe, trust, config: Arc::new(OnceCell::new()) }
    }

    /// Returns the policy that addresses and schemes are checked by.
    pub fn policy(&self) -> AddressPolicy {
        self.safe.policy()
    }

    async fn connect(&self, uri: Uri) -> Result<MaybeHttpsStream<PeerStream>, ConnectError> {
        let scheme = uri.scheme().ok_or(ConnectError::Scheme)?;
        if !self.policy().admits_scheme(scheme.as_str()) {
            return Err(ConnectError::Scheme);
        }
        let mut safe = self.safe.clone();
        if scheme == &Scheme::HTTP {
            return Ok(MaybeHttpsStream::Http(safe.call(uri).await?));
        }
        let config = self.config.get_or_try_init(|| load(self.trust.clone())).await?;
        let mut https = HttpsConnector::from((safe, Arc::clone(config)));
        https.call(uri).await.map_err(|error| match error.downcast::<ConnectError>() {
            Ok(error) => *error,
            Err(_) => ConnectError::Tls,
        })
    }
}

impl Service<Uri> for PeerConnector {
    type Response = MaybeHttpsStream<PeerStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            timeout(CONNECT_DEADLINE, connector.connect(uri))
                .await
                .unwrap_or(Err(ConnectError::TimedOut))
        })
    }
}

impl fmt::Debug for PeerConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnector").field("safe", &self.safe).finish_non_exhaustive()
    }
}

/// Builds the client configuration; a failure is not remembered, so certificates that are
/// installed later are found without a restart.
async fn load(trust: Trust) -> Result<Arc<ClientConfig>, ConnectError> {
    let build = move || {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_error| ConnectError::Tls)?;
        let builder = match trust {
            Trust::Native => {
                builder.with_native_roots().map_err(|_error| ConnectError::NoTrustRoots)?
            }
            Trust::Only(roots) if roots.is_empty() => return Err(ConnectError::NoTrustRoots),
            Trust::Only(roots) => builder.with_root_certificates(roots),
        };
        Ok(Arc::new(builder.with_no_client_auth()))
    };
    // Reading a few hundred certificate files is too slow for a thread that serves others.
    tokio::task::spawn_blocking(build).await.unwrap_or(Err(ConnectError::NoTrustRoots))
}

#[cfg(test)]
mod tests;
