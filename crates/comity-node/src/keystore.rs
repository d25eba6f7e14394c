//! Private keys at rest: each identity's keys are sealed with XChaCha20-Poly1305 under one key that
//! is kept apart.
//!
//! The sealing key comes from a passphrase (Argon2id, 19 MiB, 2 passes, 1 lane), from a file that
//! the operator names, or from `keystore.key` in the data directory, made at the first start with
//! mode 0600. The DID is authenticated with the sealed keys, so that they cannot be swapped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use comity_didcomm::{AgreementCache, AgreementKey, Did, SigningKey, UnixTime};
use rand::Rng as _;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why the keystore cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A key file can be read by others.
    #[error("{0} can be read by other users")]
    OpenToOthers(PathBuf),
    /// A key file does not hold a key.
    #[error("{0} does not hold 32 bytes in base64url")]
    NoKey(PathBuf),
    /// The sealed keys do not open.
    #[error("the stored keys do not open with this key or passphrase")]
    WrongKey,
    /// The passphrase cannot be stretched.
    #[error("the passphrase cannot be used")]
    Passphrase,
}

/// Where the sealing key comes from.
pub(crate) enum KeySource {
    /// A file that must exist.
    File(PathBuf),
    /// A file that is made when it does not exist.
    Generated(PathBuf),
    /// A passphrase, with the file that keeps its salt.
    Passphrase(Zeroizing<String>, PathBuf),
}

/// Seals and opens the keys of identities.
pub(crate) struct Keystore {
    cipher: XChaCha20Poly1305,
}

/// The private keys of one identity.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) signing: SigningKey,
    pub(crate) agreement: AgreementKey,
    /// Signs the next version of a did:webvh, whose present one committed to it. The key before it
    /// is spent, and kept nowhere.
    pub(crate) next_update: Option<SigningKey>,
    /// Former agreement keys: what was sealed to them before is still to be opened. Former signing
    /// keys have nothing left to do, and are kept nowhere.
    pub(crate) retired: Vec<RetiredKey>,
}

/// A former agreement key.
#[derive(Clone)]
pub(crate) struct RetiredKey {
    /// Number of its id, `key-N`.
    pub(crate) number: u32,
    /// Until when it is kept.
    pub(crate) until: UnixTime,
    pub(crate) key: AgreementKey,
    /// Whether others may have it.
    pub(crate) is_compromised: bool,
}

/// The authenticator of Poly1305.
const TAG_BYTES: usize = 16;

/// Marks of what follows the first two keys in their sealed form.
const NEXT_UPDATE: u8 = 1;
const RETIRED: u8 = 2;
const COMPROMISED: u8 = 3;

impl Keys {
    pub(crate) fn generate() -> Self {
        let mut rng = rand::rng();
        Self {
            signing: SigningKey::generate(&mut rng),
            agreement: AgreementKey::generate(&mut rng),
            next_update: None,
            retired: Vec::new(),
        }
    }

    /// Attaches a cache in which the keys that agree remember what they agreed on.
    pub(crate) fn remember_agreements(&mut self, cache: &Arc<AgreementCache>) {
        let retired = self.retired.iter_mut().map(|retired| &mut retired.key);
        for key in retired.chain([&mut self.agreement]) {
            *key = key.clone().with_cache(Arc::clone(cache));
        }
    }

    /// Writes the two keys, then the others with a mark each.
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Enough from the start: a vector that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(64 + 33 + 45 * self.retired.len()));
        plain.extend_from_slice(self.signing.seed().as_ref());
        plain.extend_from_slice(self.agreement.to_bytes().as_ref());
        if let Some(key) = &self.next_update {
            plain.push(NEXT_UPDATE);
            plain.extend_from_slice(key.seed().as_ref());
        }
        for retired in &self.retired {
            plain.push(if retired.is_compromised { COMPROMISED } else { RETIRED });
            plain.extend_from_slice(&retired.number.to_be_bytes());
            plain.extend_from_slice(&retired.until.0.to_be_bytes());
            plain.extend_from_slice(retired.key.to_bytes().as_ref());
        }
        plain
    }

    fn from_bytes(mut plain: &[u8]) -> Option<Self> {
        let signing = SigningKey::from_seed(Zeroizing::new(take(&mut plain)?));
        let agreement = AgreementKey::from_bytes(Zeroizing::new(take(&mut plain)?));
        let mut keys = Self { signing, agreement, next_update: None, retired: Vec::new() };
        while let Some(mark) = take::<1>(&mut plain) {
            match mark {
                [NEXT_UPDATE] => {
                    let seed = Zeroizing::new(take(&mut plain)?);
                    keys.next_update = Some(SigningKey::from_seed(seed));
                }
                [mark @ (RETIRED | COMPROMISED)] => keys.retired.push(RetiredKey {
                    number: u32::from_be_bytes(take(&mut plain)?),
                    until: UnixTime(u64::from_be_bytes(take(&mut plain)?)),
                    key: AgreementKey::from_bytes(Zeroizing::new(take(&mut plain)?)),
                    is_compromised: mark == COMPROMISED,
                }),
                _ => return None,
            }
        }
        Some(keys)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

impl Keystore {
    pub(crate) fn open(source: &KeySource) -> Result<Self, KeystoreError> {
        let key = match source {
            KeySource::File(path) => read_key(path)?,
            KeySource::Generated(path) => {
                if !path.exists() {
                    let mut fresh = Zeroizing::new([0_u8; 32]);
                    rand::rng().fill_bytes(fresh.as_mut());
                    let text = URL_SAFE_NO_PAD.encode(fresh.as_ref());
                    write_private(path, text.as_bytes()).map_err(|error| cannot(path, error))?;
                }
                read_key(path)?
            }
            KeySource::Passphrase(passphrase, salt) => stretch(passphrase, &read_salt(salt)?)?,
        };
        Ok(Self { cipher: XChaCha20Poly1305::new(&Key::from(*key)) })
    }

    /// Seals keys for rest. The first 24 bytes are the nonce.
    pub(crate) fn seal(&self, did: &Did, keys: &Keys) -> Vec<u8> {
        self.seal_bytes(did.as_str(), &keys.to_bytes())
    }

    pub(crate) fn unseal(&self, did: &Did, sealed: &[u8]) -> Result<Keys, KeystoreError> {
        let plain = self.unseal_bytes(did.as_str(), sealed)?;
        Keys::from_bytes(&plain).ok_or(KeystoreError::WrongKey)
    }

    /// Seals a secret of the home that is nobody's key. No DID is called like it.
    pub(crate) fn seal_secret(&self, name: &str, secret: &[u8; 32]) -> Vec<u8> {
        self.seal_bytes(name, secret)
    }

    pub(crate) fn unseal_secret(
        &self,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let plain = self.unseal_bytes(name, sealed)?;
        let secret = plain.as_slice().try_into().map_err(|_| KeystoreError::WrongKey)?;
        Ok(Zeroizing::new(secret))
    }

    /// Seals bytes that are nobody's keys under a name. No DID is called like it.
    pub(crate) fn seal_bytes(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        self.seal_after(&[], name, &[plain])
    }

    /// Seals parts as one, behind bytes that are not secret. They are copied once, to where they are
    /// sealed: the messages of a busy node go through here.
    pub(crate) fn seal_after(&self, open: &[u8], name: &str, parts: &[&[u8]]) -> Vec<u8> {
        let mut nonce = [0_u8; 24];
        rand::rng().fill_bytes(&mut nonce);
        let plain_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut sealed = Vec::with_capacity(open.len() + nonce.len() + plain_bytes + TAG_BYTES);
        sealed.extend_from_slice(open);
        sealed.extend_from_slice(&nonce);
        parts.iter().for_each(|part| sealed.extend_from_slice(part));
        let (_, plain) = sealed.split_at_mut(open.len() + nonce.len());
        #[expect(clippy::expect_used, reason = "keys and envelopes are within the cipher's limit")]
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), name.as_bytes(), plain.into())
            .expect("what is small can be sealed");
        sealed.extend_from_slice(&tag);
        sealed
    }

    pub(crate) fn unseal_bytes(
        &self,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let (nonce, sealed) = sealed.split_first_chunk::<24>().ok_or(KeystoreError::WrongKey)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| KeystoreError::WrongKey)
    }
}

/// Writes a new file that only its owner can read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new();
    let mut out = open.write(true).create_new(true).mode(0o600).open(path)?;
    out.write_all(content)?;
    out.sync_all()
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let text = read_private(path)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| KeystoreError::NoKey(path.to_owned()))?;
    let key: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| KeystoreError::NoKey(path.to_owned()))?;
    Ok(Zeroizing::new(key))
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    let mode = fs::metadata(path).map_err(|error| cannot(path, error))?.mode();
    if mode & 0o077 != 0 {
        return Err(KeystoreError::OpenToOthers(path.to_owned()));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(|error| cannot(path, error))
}

fn cannot(path: &Path, error: io::Error) -> KeystoreError {
    KeystoreError::File { path: path.to_owned(), error }
}

fn read_salt(path: &Path) -> Result<[u8; 16], KeystoreError> {
    if !path.exists() {
        let mut salt = [0_u8; 16];
        rand::rng().fill_bytes(&mut salt);
        let text = URL_SAFE_NO_PAD.encode(salt);
        write_private(path, text.as_bytes()).map_err(|error| cannot(path, error))?;
    }
    let text = read_private(path)?;
    let salt = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|salt| salt.try_into().ok());
    salt.ok_or_else(|| KeystoreError::NoKey(path.to_owned()))
}

fn stretch(passphrase: &str, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).map_err(|_| KeystoreError::Passphrase)?;
    let mut key = Zeroizing::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
        .map_err(|_| KeystoreError::Passphrase)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn did(name: &str) -> Did {
        format!("did:web:a.example:agents:{name}").parse().unwrap()
    }

    #[test]
    fn sealed_keys_open_for_their_did_and_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::open(&KeySource::Generated(folder.path().join("one"))).unwrap();
        let keys = Keys::generate();
        let sealed = keystore.seal(&did("aria"), &keys);
        let opened = keystore.unseal(&did("aria"), &sealed).unwrap();
        assert_eq!(*opened.signing.seed(), *keys.signing.seed());
        assert_eq!(*opened.agreement.to_bytes(), *keys.agreement.to_bytes());

        assert!(matches!(keystore.unseal(&did("bruno"), &sealed), Err(KeystoreError::WrongKey)));
        let other = Keystore::open(&KeySource::Generated(folder.path().join("two"))).unwrap();
        assert!(matches!(other.unseal(&did("aria"), &sealed), Err(KeystoreError::WrongKey)));
        let again = Keystore::open(&KeySource::File(folder.path().join("one"))).unwrap();
        assert!(again.unseal(&did("aria"), &sealed).is_ok());
    }

    #[test]
    fn a_secret_opens_under_its_name_and_is_nobodys_keys() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::open(&KeySource::Generated(folder.path().join("one"))).unwrap();
        let sealed = keystore.seal_secret("admission", &[7; 32]);
        assert_eq!(*keystore.unseal_secret("admission", &sealed).unwrap(), [7; 32]);
        assert!(keystore.unseal_secret("other", &sealed).is_err());
        assert!(keystore.unseal(&did("aria"), &sealed).is_err());
        let keys = keystore.seal(&did("aria"), &Keys::generate());
        assert!(keystore.unseal_secret(did("aria").as_str(), &keys).is_err());
    }

    #[test]
    fn further_keys_are_sealed_with_the_first_two() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::open(&KeySource::Generated(folder.path().join("one"))).unwrap();
        let mut keys = Keys::generate();
        keys.next_update = Some(Keys::generate().signing);
        for number in [2, 4] {
            let until = UnixTime(u64::from(number));
            let key = Keys::generate().agreement;
            keys.retired.push(RetiredKey { number, until, key, is_compromised: number == 4 });
        }
        let opened = keystore.unseal(&did("aria"), &keystore.seal(&did("aria"), &keys)).unwrap();
        assert_eq!(*opened.to_bytes(), *keys.to_bytes());
        assert_eq!(opened.retired[1].number, 4);
        assert!(opened.retired[1].is_compromised && !opened.retired[0].is_compromised);
        // A version of this program that knows more marks wrote it: guessing would lose keys.
        let plain = [&keys.to_bytes()[..], &[9]].concat();
        assert!(Keys::from_bytes(&plain).is_none());
        assert!(Keys::from_bytes(&plain[..plain.len() - 2]).is_none());
    }

    #[test]
    fn the_same_passphrase_opens_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let salt = folder.path().join("salt");
        let source =
            |words: &str| KeySource::Passphrase(Zeroizing::new(words.to_owned()), salt.clone());
        let sealed =
            Keystore::open(&source("one two")).unwrap().seal(&did("aria"), &Keys::generate());
        assert!(Keystore::open(&source("one two")).unwrap().unseal(&did("aria"), &sealed).is_ok());
        assert!(
            Keystore::open(&source("one three")).unwrap().unseal(&did("aria"), &sealed).is_err()
        );
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Keystore::open(&KeySource::Generated(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Keystore::open(&KeySource::File(path));
        assert!(matches!(refused, Err(KeystoreError::OpenToOthers(_))));
    }
}
