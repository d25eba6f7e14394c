//! Posting to a node's public listener as a stranger does: HTTP/1.1 on one connection, and nothing of a home.

use comity_core::limits::ENVELOPE_BYTES_MAX;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::broken;
use crate::error::CliError;

/// What a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A connection to a node, made when it is needed and again when it was closed.
#[derive(Debug)]
pub(super) struct Door {
    authority: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Door {
    /// Names the node by its URL, `http://HOST:PORT`.
    pub(super) fn at(url: &str) -> Result<Self, CliError> {
        let authority = url.strip_prefix("http://").unwrap_or_default().trim_end_matches('/');
        if authority.is_empty() {
            return Err(CliError::fault("bench.url", "The node is not reached over plain HTTP"));
        }
        Ok(Self { authority: authority.to_owned(), stream: None })
    }

    /// Posts an envelope, with work if there is any.
    pub(super) async fn post(
        &mut self,
        envelope: &[u8],
        work: Option<&str>,
    ) -> Result<Answer, CliError> {
        let work = work.map_or_else(String::new, |work| format!("comity-work: {work}\r\n"));
        let head = format!(
            "POST /didcomm HTTP/1.1\r\nhost: {}\r\ncontent-type: application/didcomm-encrypted+json\r\n\
             content-length: {}\r\n{work}\r\n",
            self.authority,
            envelope.len(),
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(envelope);
        // The node may have closed a connection that rested; the same envelope twice is one.
        match self.exchange(&request).await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.stream = None;
                self.exchange(&request).await.map_err(|error| broken(&error))
            }
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(&self.authority).await?),
        };
        stream.get_mut().write_all(request).await?;
        let mut line = String::new();
        (&mut stream).take(HEAD_BYTES_MAX).read_line(&mut line).await?;
        let bad = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(bad)?;
        let (mut length, mut is_last) = (0, false);
        loop {
            line.clear();
            (&mut stream).take(HEAD_BYTES_MAX).read_line(&mut line).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(|_| bad())?,
                "connection" => is_last = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        if ENVELOPE_BYTES_MAX < length {
            return Err(bad());
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.stream = (!is_last).then_some(stream);
        Ok(Answer { status, body })
    }
}

/// Longest line of a head that is read, in bytes.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
