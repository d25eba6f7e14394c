//! Every bound on what a peer can make this crate hold or do. Reaching one is an ordinary refusal, never a panic.
//!
//! Not here: bounds on queues, connections and stores, which belong to the programs that use this crate.

/// Bytes of one envelope, and of anything inside it.
pub const ENVELOPE_BYTES_MAX: usize = 1024 * 1024;
/// Nested arrays and objects in any JSON text.
pub const JSON_DEPTH_MAX: usize = 32;
/// Values (strings, numbers, arrays, objects and so on) in any JSON text: bounds memory, since `[0,0,..]`
/// costs more parsed than sent. In a message an object counts for more; then a value takes at most 96 bytes
/// and its characters, and the largest message 12 MiB beside its text, whatever is in it.
pub const JSON_VALUES_MAX: usize = 131_072;
/// Values that an object in a message counts for, again for every [`JSON_NODE_MEMBERS`] members that it
/// begins: a map has nodes of 640 bytes, and `{"a":0}` takes a whole one.
pub const JSON_NODE_VALUES: usize = 6;
/// Members that a node of a map holds at least.
pub const JSON_NODE_MEMBERS: usize = 5;
/// Characters of an encoded protected header. A did:peer:4 of full length appears in it twice, once of them
/// as base64url.
pub const PROTECTED_CHARS_MAX: usize = 32 * 1024;
/// Recipients of one envelope, counted before any key agreement.
pub const RECIPIENTS_MAX: usize = 64;
/// Layers of one envelope, the plaintext not counted (DIDComm v2.1, section on combinations).
pub const LAYERS_MAX: usize = 2;

/// Bytes of a DID; the long forms of did:peer:2 and did:peer:4 fit.
pub const DID_BYTES_MAX: usize = 4096;
/// Bytes that a path, query and fragment may add to a DID.
pub const DID_URL_SUFFIX_BYTES_MAX: usize = 512;
/// Bytes of a DID document.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Verification methods of one document. As many of the costliest kind, compressed points of P-521, take 5 ms to read.
pub const VERIFICATION_METHODS_MAX: usize = 64;
/// Services of one document.
pub const SERVICES_MAX: usize = 32;
/// Endpoints of all DIDComm services of one document.
pub const ENDPOINTS_MAX: usize = 32;
/// Characters of an encoded public key (multibase or JWK member).
pub const KEY_CHARS_MAX: usize = 256;
/// Secrets in one cache of agreements.
pub const AGREEMENTS_CACHED_MAX: usize = 65_536;
/// Draws for a new private key, before the source of randomness counts as broken.
pub const KEY_DRAWS_MAX: usize = 64;

/// Bytes of the log of a did:webvh.
pub const WEBVH_LOG_BYTES_MAX: usize = 1024 * 1024;
/// Versions of one did:webvh. Each costs a signature check and two hashes.
pub const WEBVH_ENTRIES_MAX: usize = 1024;
/// Bytes of one line of a log: a document, its parameters and its proofs.
pub const WEBVH_ENTRY_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 32 * 1024;
/// Proofs of one entry of a log.
pub const WEBVH_PROOFS_PER_ENTRY_MAX: usize = 8;
/// Proofs of all entries of a log, since each costs a signature check: two for each version of the longest.
pub const WEBVH_PROOFS_MAX: usize = 2 * WEBVH_ENTRIES_MAX;
/// Keys, hashes, witnesses or watchers that one entry lists.
pub const WEBVH_LIST_MAX: usize = 64;
/// Characters of one key, hash or watcher in such a list.
pub const WEBVH_TEXT_CHARS_MAX: usize = 2048;
/// Bytes of the witness file of a did:webvh.
pub const WEBVH_WITNESS_BYTES_MAX: usize = 256 * 1024;
/// Witness proofs that are looked at. One more refuses the file, since each costs a signature check.
pub const WEBVH_WITNESS_PROOFS_MAX: usize = 512;
/// Seconds that the last version may lie ahead of our clock.
pub const WEBVH_CLOCK_SKEW_SECS: u64 = 60;

/// Characters of a message id or thread id. The specification advises 32, and a UUID has 36.
pub const MESSAGE_ID_CHARS_MAX: usize = 64;
/// Characters of a message type URI.
pub const MESSAGE_TYPE_CHARS_MAX: usize = 512;
/// DIDs in a `to` header.
pub const TO_MAX: usize = 64;
/// Ids in a `please_ack` or `ack` header, and entries of the other list headers.
pub const LIST_HEADER_MAX: usize = 1024;
/// Characters of a language tag.
pub const LANGUAGE_TAG_CHARS_MAX: usize = 64;
/// Attachments of one message.
pub const ATTACHMENTS_MAX: usize = 256;
/// Detached signatures of one attachment that are tried.
pub const ATTACHMENT_SIGNATURES_MAX: usize = 8;
/// Characters of a `from_prior` token.
pub const FROM_PRIOR_CHARS_MAX: usize = 32 * 1024;
/// Characters of a signed token. Like that of a `from_prior` token, it leaves room for DIDs of full
/// length.
pub const TOKEN_CHARS_MAX: usize = 32 * 1024;
/// Characters of a problem-report code.
pub const PROBLEM_CODE_CHARS_MAX: usize = 256;
/// Payloads of one forward.
pub const FORWARD_PAYLOADS_MAX: usize = 16;
/// Mediators between us and a recipient. Each adds a third to the size of the envelope.
pub const ROUTE_HOPS_MAX: usize = 8;
/// Forwards to ourselves around one envelope, as mediators make them that wrap again.
pub const REWRAPPINGS_MAX: usize = 4;
/// Characters of an invitation's link. A QR code holds less than 3000; a link in a mail can be longer.
pub const INVITATION_URL_CHARS_MAX: usize = 16 * 1024;
/// Characters of an invitation's goal and goal code.
pub const INVITATION_TEXT_CHARS_MAX: usize = 2048;
/// Profiles that an invitation accepts.
pub const INVITATION_ACCEPT_MAX: usize = 32;
