//! Our log next to other people's: trees, proofs, tiles, signed notes and checkpoints as `tlog_tiles`,
//! `signed_note` (both Cloudflare's, after Go's checksum database) and `ct-merkle` read and write them.
//! We share the specifications with them and no code, so a misreading of ours shows here.
//!
//! Where one of them departs from a specification, or panics, the test says so beside what it leaves out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_core::log::{
    Checkpoint, Frontier, KeyKind, Node, Note, NoteError, NoteKey, Plan, Resource, TILE_LEVEL_MAX,
    TILE_WIDTH, Tile, TreeHead, VerifierKey, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};
use comity_didcomm::SigningKey;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use sha2::Sha256;
use signed_note::{Signer as _, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, HashReader, TileHashReader, TileReader, stored_hash_index};

type CtTree = MemoryBackedTree<Sha256, Vec<u8>>;

#[test]
fn trees_of_every_size_have_one_root() {
    let log = Log::random(300, 1);
    let mut tree = CtTree::new();
    for size in 0..=300 {
        let head = log.heads[size as usize];
        assert_eq!(head.size, size);
        assert_eq!(Hash(head.root), tlog_tiles::tree_hash(size, &log.stored).unwrap());
        assert!(ct_root(head) == tree.root(), "{size}");
        if let Some(leaf) = log.leaves.get(size as usize) {
            assert_eq!(Hash(leaf_hash(leaf).0), tlog_tiles::record_hash(leaf));
            tree.push(leaf.clone());
        }
    }
}

#[test]
fn inclusion_is_proven_alike_and_damage_is_refused_by_all() {
    let log = Log::random(100, 2);
    let mut tree = CtTree::new();
    for size in 1..=100 {
        tree.push(log.leaves[size as usize - 1].clone());
        let head = log.heads[size as usize];
        for index in 0..size {
            let leaf = &log.leaves[index as usize];
            let proof = log.inclusion(index, size);
            let by_tlog = tlog_tiles::prove_record(size, index, &log.stored).unwrap();
            assert_eq!(theirs(&proof), by_tlog, "{index} {size}");
            assert_eq!(proof.as_flattened(), tree.prove_inclusion(index as usize).as_bytes());
            assert!(accept_inclusion(index, leaf, &proof, head));
            for damaged in damages(&proof) {
                assert!(!accept_inclusion(index, leaf, &damaged, head), "{index} {size}");
            }
            let other = &log.leaves[(index as usize + 1) % log.leaves.len()];
            assert!(!accept_inclusion(index, other, &proof, head));
            assert!(!accept_inclusion(index, leaf, &proof, TreeHead { root: [7; 32], ..head }));
        }
    }
}

#[test]
fn inclusion_proofs_are_judged_alike_at_any_place_in_any_tree() {
    const MAX: u64 = 24;
    let log = Log::random(MAX, 3);
    for size in 1..=MAX {
        for index in 0..size {
            let (leaf, proof) = (&log.leaves[index as usize], log.inclusion(index, size));
            // Some sizes are told apart by nobody: the shape of the path is the same. A head is signed.
            for claimed in (0..=MAX + 1).flat_map(|size| (0..=MAX + 1).map(move |at| (at, size))) {
                let head = TreeHead { size: claimed.1, ..log.heads[size as usize] };
                let is_accepted = accept_inclusion(claimed.0, leaf, &proof, head);
                assert!(is_accepted || claimed != (index, size));
            }
        }
    }
}

#[test]
fn consistency_is_proven_alike_and_damage_is_refused_by_all() {
    let log = Log::random(100, 4);
    let mut tree = CtTree::new();
    for new in 1..=100 {
        tree.push(log.leaves[new as usize - 1].clone());
        let new_head = log.heads[new as usize];
        for old in 1..=new {
            let old_head = log.heads[old as usize];
            let proof = log.consistency(old, new);
            let by_tlog = tlog_tiles::prove_tree(new, old, &log.stored).unwrap();
            assert_eq!(theirs(&proof), by_tlog, "{old} {new}");
            let by_ct = tree.prove_consistency((new - old) as usize);
            assert_eq!(proof.as_flattened(), by_ct.as_bytes(), "{old} {new}");
            assert!(accept_consistency(old_head, new_head, &proof));
            for damaged in damages(&proof) {
                assert!(!accept_consistency(old_head, new_head, &damaged), "{old} {new}");
            }
            let forked = TreeHead { root: [7; 32], ..old_head };
            assert!(!accept_consistency(forked, new_head, &proof));
            let forked = TreeHead { root: [7; 32], ..new_head };
            assert!(!accept_consistency(old_head, forked, &proof));
        }
    }
}

#[test]
fn consistency_proofs_are_judged_alike_between_any_trees() {
    const MAX: u64 = 18;
    let log = Log::random(MAX, 5);
    for (old, new) in (1..=MAX).flat_map(|new| (1..=new).map(move |old| (old, new))) {
        let proof = log.consistency(old, new);
        for claimed in (1..=MAX + 1).flat_map(|new| (1..=MAX + 1).map(move |old| (old, new))) {
            let old_head = TreeHead { size: claimed.0, ..log.heads[old as usize] };
            let new_head = TreeHead { size: claimed.1, ..log.heads[new as usize] };
            let is_accepted = accept_consistency(old_head, new_head, &proof);
            assert!(is_accepted || claimed != (old, new));
        }
    }
}

/// RFC 6962 defines no proof from an empty tree, and both others refuse to make or check one; a witness
/// (C2SP tlog-witness) continues one with a proof of no hashes.
#[test]
fn an_empty_tree_is_continued_only_here_and_by_an_empty_proof_only() {
    let log = Log::random(5, 6);
    let (old, new) = (log.heads[0], log.heads[5]);
    assert!(log.consistency(0, 5).is_empty());
    assert_eq!(verify_consistency(old, new, &[]), Ok(()));
    assert!(verify_consistency(old, new, &[new.root]).is_err());
    assert!(tlog_tiles::prove_tree(5, 0, &log.stored).is_err());
    assert!(tlog_tiles::check_tree(&vec![], 5, Hash(new.root), 0, Hash(old.root)).is_err());
    let empty = ConsistencyProof::try_from_bytes(Vec::new()).unwrap();
    assert!(ct_root(new).verify_consistency(&ct_root(old), &empty).is_err());
}

#[test]
fn trees_that_are_too_large_to_build_are_proven_alike() {
    let rng = &mut StdRng::seed_from_u64(7);
    for _ in 0..200 {
        // Stored hashes of `tlog_tiles` are numbered in 64 bits, which ends at 2^62 leaves.
        let bits = rng.random_range(0..=62);
        let new = rng.random_range(1..=1_u64 << bits);
        let old = rng.random_range(1..=new);
        let index = rng.random_range(0..new);
        let marks = [index, index ^ 1, old - 1, new - 1, rng.random_range(0..new)];
        let log = Vast::new(marks.to_vec());
        let (old_head, new_head) = (log.head(old), log.head(new));
        assert_eq!(Hash(new_head.root), tlog_tiles::tree_hash(new, &log).unwrap());

        let proof = hashes(&Plan::inclusion(index, new).unwrap(), |node| log.hash(node));
        assert_eq!(theirs(&proof), tlog_tiles::prove_record(new, index, &log).unwrap());
        let leaf = index.to_be_bytes().to_vec();
        assert!(accept_inclusion(index, &leaf, &proof, new_head));
        for wrong in [index ^ 1, index / 2, new - 1 - index] {
            assert!(wrong == index || !accept_inclusion(wrong, &leaf, &proof, new_head));
        }

        let proof = hashes(&Plan::consistency(old, new).unwrap(), |node| log.hash(node));
        assert_eq!(theirs(&proof), tlog_tiles::prove_tree(new, old, &log).unwrap());
        assert!(accept_consistency(old_head, new_head, &proof), "{old} {new}");
        for damaged in damages(&proof) {
            assert!(!accept_consistency(old_head, new_head, &damaged), "{old} {new}");
        }
    }
}

#[test]
fn a_log_of_each_size_has_the_same_tiles() {
    let rng = &mut StdRng::seed_from_u64(8);
    let random: Vec<u64> = (0..20).map(|_| rng.random_range(1_000..200_000)).collect();
    for size in (0..=1_000).chain([65_535, 65_536, 65_537, 70_000]).chain(random) {
        let mut tiles = Vec::new();
        for level in 0..=TILE_LEVEL_MAX {
            tiles.extend((0..).map_while(|index| Tile::of_log(level, index, size)));
        }
        let by_tlog = tlog_tiles::Tile::new_tiles(8, 0, size);
        assert_eq!(tiles.iter().map(foreign).collect::<Vec<_>>(), by_tlog, "{size}");
    }
    // The last tiles of a row in vast logs; above level seven, `tlog_tiles` shifts by more than 64 bits.
    for _ in 0..5_000 {
        let (size, level) = (rng.random_range(0..1_u64 << 62), rng.random_range(0..8));
        let last = size >> (8 * level) >> 8;
        let index = (last + rng.random_range(0..3)).saturating_sub(1);
        let full = tlog_tiles::Tile::new(8, level, index, 256, false);
        let tile = Tile::of_log(level, index, size);
        assert_eq!(tile.as_ref().map(foreign), full.parent(0, size), "{level} {index} {size}");
    }
}

#[test]
fn subtrees_and_proofs_follow_alike_from_our_tiles() {
    const SIZE: u64 = 70_000;
    let log = Log::random(SIZE, 9);
    let rng = &mut StdRng::seed_from_u64(10);
    for size in [1, 2, 255, 256, 257, 300, 4_097, 65_535, 65_536, 65_537, SIZE] {
        let (tiles, head) = (Tiles { log: &log, size }, log.heads[size as usize]);
        // It checks tiles against the root, which is ours, though not all of them: hence the stored hashes.
        let reader = TileHashReader::new(size, Hash(head.root), &tiles);
        let all = (0..u64::BITS as u8).flat_map(|level| {
            let count = size.checked_shr(u32::from(level)).unwrap();
            (0..count).map(move |index| Node { level, index })
        });
        let all: Vec<Node> = all.collect();
        let nodes: Vec<Node> = all.sample(rng, 1_000).copied().collect();
        let places: Vec<u64> =
            nodes.iter().map(|node| stored_hash_index(node.level, node.index)).collect();
        let read = reader.read_hashes(&places).unwrap();
        for ((node, place), hash) in nodes.iter().zip(&places).zip(read) {
            assert_eq!(Hash(tiles.hash(*node)), hash, "{node:?} {size}");
            assert_eq!(hash, log.stored.0[*place as usize], "{node:?} {size}");
            let tile = Tile::of_node(*node, size).unwrap();
            let bytes = tiles.hashes(tile).as_flattened();
            assert_eq!(foreign(&tile).hash_at_index(bytes, *place).unwrap(), hash);
            let least = tlog_tiles::Tile::from_index(8, *place);
            assert_eq!(least.parent(0, size).unwrap(), foreign(&tile));
        }
        for _ in 0..20 {
            let (index, old) = (rng.random_range(0..size), rng.random_range(1..=size));
            let proof = hashes(&Plan::inclusion(index, size).unwrap(), |node| tiles.hash(node));
            assert_eq!(theirs(&proof), tlog_tiles::prove_record(size, index, &reader).unwrap());
            assert!(accept_inclusion(index, &log.leaves[index as usize], &proof, head));
            let proof = hashes(&Plan::consistency(old, size).unwrap(), |node| tiles.hash(node));
            assert_eq!(theirs(&proof), tlog_tiles::prove_tree(size, old, &reader).unwrap());
            assert!(accept_consistency(log.heads[old as usize], head, &proof));
        }
    }
}

#[test]
fn tiles_have_the_same_paths() {
    let rng = &mut StdRng::seed_from_u64(11);
    for _ in 0..20_000 {
        let resource = random_resource(rng);
        let path = resource.to_string();
        let theirs = their_path(&path);
        let tile = match resource {
            Resource::Tile(tile) => foreign(&tile),
            Resource::Entries { index, width } => {
                tlog_tiles::Tile::new(8, 0, index, width.into(), true)
            }
            Resource::Checkpoint => unreachable!("none is drawn"),
        };
        assert_eq!(tile.path(), theirs);
        assert_eq!(tlog_tiles::Tile::from_path(&theirs).unwrap(), tile);
        assert_eq!(path.parse(), Ok(resource));
    }
}

#[test]
fn other_paths_are_refused_alike() {
    let rng = &mut StdRng::seed_from_u64(12);
    let mut kept = 0;
    for _ in 0..50_000 {
        let path = random_resource(rng).to_string();
        let rest = mutate(&path["tile/".len()..], "0123456789x/.p+- ", rng);
        let path = format!("tile/{rest}");
        // `tlog_tiles` panics at a level above 63 and at a width of zero, which are refused here.
        let level = rest.split('/').next().and_then(|level| level.parse().ok()).unwrap_or(0_u64);
        let width = rest.rsplit_once(".p/").and_then(|(_, width)| width.parse::<u32>().ok());
        if u64::from(TILE_LEVEL_MAX) < level || width == Some(0) {
            assert!(path.parse::<Resource>().is_err(), "{path}");
            continue;
        }
        let ours = path.parse::<Resource>().ok().map(|resource| resource.to_string());
        let tile = tlog_tiles::Tile::from_path(&their_path(&path)).ok();
        assert_eq!(ours.as_deref().map(their_path), tile.map(|tile| tile.path()), "{path}");
        kept += u32::from(tile.is_some());
    }
    // Of the changes, some make another path and most make none.
    assert!((5_000..45_000).contains(&kept), "{kept}");
}

#[test]
fn a_note_is_the_same_whoever_signs_and_verifies_with_both() {
    let rng = &mut StdRng::seed_from_u64(13);
    for name in ["a.example/log", "did:web:a.example", "b\u{fc}cher.example/1"] {
        let key = Both::new(name, rng);
        assert_eq!(key.ours.public().to_string(), key.vkey);
        assert_eq!(key.ours.public().id(), key.theirs.key_id().to_be_bytes());
        for text in [TEXT, "one line\n", "\n", "a\n\n\u{2014} b AAAAAAA=\n\n\u{2014}\n", "\u{7f}\n"]
        {
            let note = key.note(text);
            let mut by_them = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
            by_them.add_sigs(&[&key.theirs]).unwrap();
            assert_eq!(note.as_bytes(), by_them.to_bytes());
            assert_eq!(verdict(&note, &key.vkey), Ok(()));
            let read = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
            assert_eq!(Note::parse(&note).unwrap().text().as_bytes(), read.text());
        }
    }
}

#[test]
fn a_strangers_key_and_note_are_read() {
    // The examples of `signed_note`, which are those of Go.
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let skey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let signer = StandardSigner::new(skey).unwrap();
    let mut note = signed_note::Note::new(TEXT.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    let key: VerifierKey = vkey.parse().unwrap();
    assert_eq!(key.verify(&Note::parse(&note).unwrap()), Ok(()));
    assert_eq!(verdict(&note, vkey), Ok(()));
    assert_eq!(verdict(&note.replace("\n7\n", "\n8\n"), vkey), Err(NoteError::Signature));
}

#[test]
fn notes_are_refused_alike() {
    let rng = &mut StdRng::seed_from_u64(14);
    let (key, other) = (Both::new("a.example", rng), Both::new("a.example", rng));
    let (line, another) = (key.ours.sign(TEXT), other.ours.sign(TEXT));
    let forged = key.ours.sign("another\n");
    let long = line.trim_end().replace(' ', "  ");
    let id = STANDARD.encode(key.ours.public().id());
    for (note, expected) in [
        (format!("{TEXT}\n{another}"), Err(NoteError::UnknownKey)),
        (format!("{TEXT}\n{another}{line}"), Ok(())),
        (format!("{TEXT}\n{line}{line}"), Ok(())),
        (format!("{TEXT}\n{forged}{line}"), Err(NoteError::Signature)),
        (format!("{TEXT}\n{}", line.repeat(16)), Ok(())),
        (format!("{TEXT}\n{}", line.repeat(101)), Err(NoteError::Malformed)),
        (String::new(), Err(NoteError::Malformed)),
        ("\n\n".to_owned(), Err(NoteError::Malformed)),
        (TEXT.to_owned(), Err(NoteError::Malformed)),
        (line.clone(), Err(NoteError::Malformed)),
        (format!("{TEXT}\n"), Err(NoteError::Malformed)),
        (format!("{TEXT}{line}"), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.trim_end()), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{line}\n"), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{line}\n{line}"), Err(NoteError::Signature)),
        (format!("{TEXT}\n{}", line.replace('\n', "\r\n")), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.replace('\u{2014}', "-")), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{long}\n"), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.replace("a.e", "a+e")), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.replace("a.e", "a\u{3000}e")), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.replace("a.example", "")), Err(NoteError::Malformed)),
        (format!("{TEXT}\n\u{2014} a.example {id}\n"), Err(NoteError::Malformed)),
        (format!("{TEXT}\n\u{2014} a.example\n"), Err(NoteError::Malformed)),
        (format!("{TEXT}\n{}", line.replace('=', "")), Err(NoteError::Malformed)),
        (format!("{}\n{line}", TEXT.replace('7', "\t")), Err(NoteError::Malformed)),
        (format!("\0{TEXT}\n{line}"), Err(NoteError::Malformed)),
        (format!("{}\n{line}", TEXT.replace('7', "8")), Err(NoteError::Signature)),
        (format!("\u{feff}{TEXT}\n{line}"), Err(NoteError::Signature)),
    ] {
        assert_eq!(verdict(&note, &key.vkey), expected, "{note:?}");
    }
    // The specification: one wrong signature by a known key SHOULD spoil the note. `signed_note`
    // looks at the first of a key only.
    let note = format!("{TEXT}\n{line}{forged}");
    assert_eq!(our_verdict(&note, &key.vkey), Err(NoteError::Signature));
    assert_eq!(their_verdict(&note, &key.vkey), Ok(()));
}

#[test]
fn changed_notes_are_judged_alike() {
    let rng = &mut StdRng::seed_from_u64(15);
    let (key, other) = (Both::new("a.example", rng), Both::new("b.example", rng));
    let note = format!("{TEXT}\n{}{}", other.ours.sign(TEXT), key.ours.sign(TEXT));
    let mut verdicts = Vec::new();
    for _ in 0..4_000 {
        let changes = rng.random_range(1..=2);
        // U+007F to U+009F are left out: in the name of a key we refuse them, as control characters, and
        // neither `signed_note` nor the specification does.
        let alphabet = "\n \t+=/Aaz09.\u{2014}\u{a0}\u{2003}\u{e9}";
        let changed = (0..changes).fold(note.clone(), |note, _| mutate(&note, alphabet, rng));
        verdicts.push(verdict(&changed, &key.vkey).err());
    }
    for error in [NoteError::Malformed, NoteError::Signature, NoteError::UnknownKey] {
        assert!(verdicts.contains(&Some(error)), "{error} was never met");
    }
}

#[test]
fn keys_are_refused_alike() {
    let key = Both::new("a.example", &mut StdRng::seed_from_u64(16));
    let with = |name: &str, bytes: &[u8]| {
        let id = signed_note::key_id(name, bytes);
        format!("{name}+{id:08x}+{}", STANDARD.encode(bytes))
    };
    let bytes = [&[1][..], key.ours.public().as_bytes()].concat();
    assert_eq!(with("a.example", &bytes), key.vkey);
    assert!(StandardVerifier::new(&key.vkey).is_ok());
    let (other_type, no_point) = ([&[2], &bytes[1..]].concat(), [&[1], &[2; 32][..]].concat());
    for wrong in [
        String::new(),
        "a.example".to_owned(),
        with("", &bytes),
        with("a b", &bytes),
        with("a\u{2003}b", &bytes),
        with("a.example", &[]),
        with("a.example", &bytes[..32]),
        with("a.example", &[&bytes[..], &[0]].concat()),
        with("a.example", &other_type),
        with("a.example", &no_point),
        key.vkey.replace("a.example", "b.example"),
        key.vkey.replacen('+', "+0", 1),
        key.vkey.replacen('+', "+ ", 1),
        format!("{}=", key.vkey),
        format!("{}+", key.vkey),
        format!("{}\n", key.vkey),
    ] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
        assert!(StandardVerifier::new(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn our_checkpoints_say_the_same_to_others_and_theirs_to_us() {
    let rng = &mut StdRng::seed_from_u64(17);
    let key = Both::new("a.example/log", rng);
    let random: Vec<u64> = (0..50).map(|_| rng.random()).collect();
    for size in [0, 1, 255, u64::MAX].into_iter().chain(random) {
        let head = TreeHead { size, root: rng.random() };
        let note = Checkpoint::sign(&key.ours, head);
        assert_eq!(verdict(&note, &key.vkey), Ok(()));
        let text = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
        let read = tlog_tiles::Checkpoint::from_bytes(text.text()).unwrap();
        assert_eq!((read.origin(), read.size()), ("a.example/log", size));
        assert_eq!((*read.hash(), read.extension()), (Hash(head.root), ""));
        assert_eq!(read.to_bytes(), text.text());

        for extension in ["", "one\n", "one\n\u{2014} two\n"] {
            let origin = key.ours.public().name();
            let made = tlog_tiles::Checkpoint::new(origin, size, Hash(head.root), extension);
            let mut note = signed_note::Note::new(&made.unwrap().to_bytes(), &[]).unwrap();
            note.add_sigs(&[&key.theirs]).unwrap();
            let note = String::from_utf8(note.to_bytes()).unwrap();
            let read = Checkpoint::parse(&note).unwrap();
            assert_eq!((read.origin(), read.claimed()), (origin, head));
            assert_eq!(read.verify(&key.vkey.parse().unwrap()), Ok(head));
        }
    }
}

#[test]
fn other_texts_are_checkpoints_to_nobody() {
    let key = Both::new("example.com/log", &mut StdRng::seed_from_u64(18));
    let root = TEXT.lines().next_back().unwrap();
    for text in [
        "\n".to_owned(),
        "example.com/log\n".to_owned(),
        "example.com/log\n7\n".to_owned(),
        format!("\n7\n{root}\n"),
        format!("example.com/log\n\n{root}\n"),
        format!("example.com/log\n07\n{root}\n"),
        format!("example.com/log\n+7\n{root}\n"),
        format!("example.com/log\n-7\n{root}\n"),
        format!("example.com/log\n 7\n{root}\n"),
        format!("example.com/log\n18446744073709551616\n{root}\n"),
        format!("example.com/log\n7\n{}\n", &root[4..]),
        format!("example.com/log\n7\nAAAA{root}\n"),
        format!("example.com/log\n7\n{}\n", &root[..root.len() - 1]),
        format!("example.com/log\n7\n{}\n", root.replace("I=", "J=")),
        format!("\n{TEXT}"),
        format!("{TEXT}\n"),
        format!("{TEXT}\nmore\n"),
        format!("{TEXT}more\n\n"),
    ] {
        assert_eq!(checkpoint(&key.note(&text)), None, "{text:?}");
    }
}

#[test]
fn changed_checkpoints_are_read_alike() {
    let rng = &mut StdRng::seed_from_u64(19);
    let key = Both::new("example.com/log", rng);
    let mut read = 0;
    for _ in 0..4_000 {
        let extension = ["", "more\n", "more\nand more\n"].choose(rng).unwrap();
        let changes = rng.random_range(1..=2);
        let alphabet = "\n 0179+-=/Az.\u{e9}\u{2014}";
        let text = format!("{TEXT}{extension}");
        let text = (0..changes).fold(text, |text, _| mutate(&text, alphabet, rng));
        read += u32::from(checkpoint(&key.note(&text)).is_some());
    }
    // Changes of the origin, of a digit or of an extension leave a checkpoint.
    assert!((500..3_500).contains(&read), "{read}");
}

/// A checkpoint's text, and so a note's as well.
const TEXT: &str = "example.com/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

/// A log as we keep it and as `tlog_tiles` does.
struct Log {
    leaves: Vec<Vec<u8>>,
    /// The complete subtrees by level, hashed by us.
    rows: Vec<Vec<[u8; 32]>>,
    /// By size.
    heads: Vec<TreeHead>,
    stored: Stored,
}

/// The hashes in the order of `tlog_tiles`, by it.
struct Stored(Vec<Hash>);

impl Log {
    fn random(size: u64, seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut frontier, mut rows, mut stored) = (Frontier::default(), vec![], Stored(vec![]));
        let (mut leaves, mut heads) = (Vec::new(), vec![frontier.root()]);
        for index in 0..size {
            let mut leaf = vec![0; rng.random_range(0..80)];
            rng.fill_bytes(&mut leaf);
            frontier.append(leaf_hash(&leaf));
            heads.push(frontier.root());
            push(&mut rows, 0, leaf_hash(&leaf).0);
            let hashes = tlog_tiles::stored_hashes(index, &leaf, &stored).unwrap();
            stored.0.extend(hashes);
            leaves.push(leaf);
        }
        Self { leaves, rows, heads, stored }
    }

    fn hash(&self, node: Node) -> [u8; 32] {
        self.rows[usize::from(node.level)][node.index as usize]
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<[u8; 32]> {
        hashes(&Plan::inclusion(index, size).unwrap(), |node| self.hash(node))
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<[u8; 32]> {
        hashes(&Plan::consistency(old, new).unwrap(), |node| self.hash(node))
    }
}

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

/// A log whose leaves are all alike but for a few, each of which is its own index.
struct Vast {
    /// The complete subtrees of leaves that are alike, by level.
    plain: Vec<[u8; 32]>,
    marks: Vec<u64>,
}

impl Vast {
    fn new(marks: Vec<u64>) -> Self {
        let leaf = leaf_hash(b"alike").0;
        let plain = std::iter::successors(Some(leaf), |hash| Some(node_hash(hash, hash)));
        Self { plain: plain.take(64).collect(), marks }
    }

    fn hash(&self, node: Node) -> [u8; 32] {
        let Node { level, index } = node;
        if !self.marks.iter().any(|mark| mark >> level == index) {
            return self.plain[usize::from(level)];
        }
        let Some(level) = level.checked_sub(1) else { return leaf_hash(&index.to_be_bytes()).0 };
        let (left, right) =
            (Node { level, index: 2 * index }, Node { level, index: 2 * index + 1 });
        node_hash(&self.hash(left), &self.hash(right))
    }

    fn head(&self, size: u64) -> TreeHead {
        let plan = Plan::root(size);
        let mut bytes = size.to_be_bytes().to_vec();
        plan.nodes().for_each(|node| bytes.extend(self.hash(node)));
        let head = Frontier::decode(&bytes).unwrap().root();
        assert_eq!(hashes(&plan, |node| self.hash(node)), [head.root]);
        head
    }
}

impl HashReader for Vast {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let hash = |place: &u64| {
            let (level, index) = tlog_tiles::split_stored_hash_index(*place);
            Hash(self.hash(Node { level, index }))
        };
        Ok(indexes.iter().map(hash).collect())
    }
}

/// The tiles of a log as it was at a size.
struct Tiles<'l> {
    log: &'l Log,
    size: u64,
}

impl Tiles<'_> {
    fn hashes(&self, tile: Tile) -> &[[u8; 32]] {
        let first = (tile.index * TILE_WIDTH) as usize;
        &self.log.rows[8 * usize::from(tile.level)][first..first + usize::from(tile.width)]
    }

    fn hash(&self, node: Node) -> [u8; 32] {
        Tile::node(node, self.hashes(Tile::of_node(node, self.size).unwrap())).unwrap()
    }
}

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let bytes = |tile: &tlog_tiles::Tile| {
            let ours = Tile::of_log(tile.level(), tile.level_index(), self.size).unwrap();
            assert_eq!(foreign(&ours), *tile);
            self.hashes(ours).as_flattened().to_vec()
        };
        Ok(tiles.iter().map(bytes).collect())
    }

    fn save_tiles(&self, _tiles: &[tlog_tiles::Tile], _data: &[Vec<u8>]) {}
}

/// A log's key from one seed in both implementations.
struct Both {
    ours: NoteKey,
    theirs: StandardSigner,
    vkey: String,
}

impl Both {
    /// `signed_note::generate_key` wants an older `rand_core` than ours; what it does is this.
    fn new(name: &str, rng: &mut StdRng) -> Self {
        let key = SigningKey::generate(rng);
        let seed = key.seed();
        let ours = NoteKey::new(name, KeyKind::Log, key).unwrap();
        let public = [&[1][..], ours.public().as_bytes()].concat();
        let id = format!("{:08x}", signed_note::key_id(name, &public));
        let private = STANDARD.encode([&[1][..], &seed[..]].concat());
        // It fails unless it derives the same public key from the seed.
        let theirs = StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id}+{private}")).unwrap();
        Self { ours, theirs, vkey: format!("{name}+{id}+{}", STANDARD.encode(public)) }
    }

    fn note(&self, text: &str) -> String {
        format!("{text}\n{}", self.ours.sign(text))
    }
}

/// Asks both what a note by a key is.
fn verdict(note: &str, vkey: &str) -> Result<(), NoteError> {
    let ours = our_verdict(note, vkey);
    assert_eq!(ours, their_verdict(note, vkey), "{note:?}");
    ours
}

fn our_verdict(note: &str, vkey: &str) -> Result<(), NoteError> {
    let key: VerifierKey = vkey.parse().unwrap();
    key.verify(&Note::parse(note)?)
}

fn their_verdict(note: &str, vkey: &str) -> Result<(), NoteError> {
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(vkey).unwrap())]);
    let verified =
        signed_note::Note::from_bytes(note.as_bytes()).and_then(|note| note.verify(&known));
    verified.map(|_| ()).map_err(|error| match error {
        signed_note::NoteError::MalformedNote => NoteError::Malformed,
        signed_note::NoteError::InvalidSignature { .. } => NoteError::Signature,
        signed_note::NoteError::UnverifiedNote => NoteError::UnknownKey,
        other => unreachable!("{other}"),
    })
}

/// Asks both what a checkpoint is of.
fn checkpoint(note: &str) -> Option<(String, TreeHead)> {
    let ours = Checkpoint::parse(note).ok();
    let ours = ours.map(|read| (read.origin().to_owned(), read.claimed()));
    let theirs = signed_note::Note::from_bytes(note.as_bytes())
        .ok()
        .and_then(|note| tlog_tiles::Checkpoint::from_bytes(note.text()).ok())
        .map(|read| {
            let head = TreeHead { size: read.size(), root: read.hash().0 };
            (read.origin().to_owned(), head)
        });
    assert_eq!(ours, theirs, "{note:?}");
    ours
}

/// Asks all three.
fn accept_inclusion(index: u64, leaf: &Vec<u8>, proof: &[[u8; 32]], head: TreeHead) -> bool {
    let (size, root) = (head.size, Hash(head.root));
    let hash = tlog_tiles::record_hash(leaf);
    let by_ct = InclusionProof::from_bytes(proof.as_flattened().to_vec());
    agreed([
        verify_inclusion(index, leaf_hash(leaf), proof, head).is_ok(),
        tlog_tiles::check_record(&theirs(proof), size, root, index, hash).is_ok(),
        ct_root(head).verify_inclusion(leaf, index, &by_ct).is_ok(),
    ])
}

/// Asks all three; `tlog_tiles` has the new tree before the old.
fn accept_consistency(old: TreeHead, new: TreeHead, proof: &[[u8; 32]]) -> bool {
    let (old_root, new_root) = (Hash(old.root), Hash(new.root));
    let by_ct = ConsistencyProof::try_from_bytes(proof.as_flattened().to_vec()).unwrap();
    agreed([
        verify_consistency(old, new, proof).is_ok(),
        tlog_tiles::check_tree(&theirs(proof), new.size, new_root, old.size, old_root).is_ok(),
        ct_root(new).verify_consistency(&ct_root(old), &by_ct).is_ok(),
    ])
}

fn agreed(accepted: [bool; 3]) -> bool {
    let [ours, by_tlog, by_ct] = accepted;
    assert_eq!((ours, ours), (by_tlog, by_ct), "we, tlog_tiles and ct-merkle: {accepted:?}");
    ours
}

/// Everything near a proof that is another one.
fn damages(proof: &[[u8; 32]]) -> Vec<Vec<[u8; 32]>> {
    let mut damaged = vec![[proof, &[[7; 32]]].concat(), [&[[7; 32]], proof].concat()];
    for (at, hash) in proof.iter().enumerate() {
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1 << (at % 8);
        damaged.push(flipped);
        damaged.push([&proof[..at], &proof[at + 1..]].concat());
        damaged.push([&proof[..at], &[*hash], &proof[at..]].concat());
        if at != 0 && proof[at - 1] != *hash {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            damaged.push(swapped);
        }
    }
    damaged
}

/// Appends a complete subtree to a row, and those above that it completes.
fn push(rows: &mut Vec<Vec<[u8; 32]>>, level: usize, hash: [u8; 32]) {
    if rows.len() == level {
        rows.push(Vec::new());
    }
    rows[level].push(hash);
    if let (pairs, []) = rows[level].as_chunks::<2>()
        && let Some([left, right]) = pairs.last()
    {
        push(rows, level + 1, node_hash(&left.clone(), &right.clone()));
    }
}

fn hashes(plan: &Plan, hash: impl Fn(Node) -> [u8; 32]) -> Vec<[u8; 32]> {
    let Ok(hashes) = plan.hashes(|node| Ok::<_, Infallible>(hash(node)));
    hashes
}

fn theirs(hashes: &[[u8; 32]]) -> Vec<Hash> {
    hashes.iter().copied().map(Hash).collect()
}

fn ct_root(head: TreeHead) -> RootHash<Sha256> {
    RootHash::new(head.root.into(), head.size)
}

fn foreign(tile: &Tile) -> tlog_tiles::Tile {
    tlog_tiles::Tile::new(8, tile.level, tile.index, tile.width.into(), false)
}

/// The paths of Go's checksum database, which `tlog_tiles` has kept, name the height of the tiles, and
/// `data` what C2SP tlog-tiles names `entries`.
fn their_path(path: &str) -> String {
    let rest = path.strip_prefix("tile/").unwrap();
    match rest.strip_prefix("entries/") {
        Some(place) => format!("tile/8/data/{place}"),
        None => format!("tile/8/{rest}"),
    }
}

fn random_resource(rng: &mut StdRng) -> Resource {
    let index = rng.random::<u64>() >> rng.random_range(0..64);
    let width = if rng.random() { 256 } else { rng.random_range(1..=256) };
    match rng.random_range(0..4) {
        0 => Resource::Entries { index, width },
        _ => Resource::Tile(Tile { level: rng.random_range(0..=TILE_LEVEL_MAX), index, width }),
    }
}

/// Changes one character: to another, to none, or to two.
fn mutate(text: &str, alphabet: &str, rng: &mut StdRng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let alphabet: Vec<char> = alphabet.chars().collect();
    let (at, with) = (rng.random_range(0..chars.len()), *alphabet.choose(rng).unwrap());
    match rng.random_range(0..3) {
        0 => chars[at] = with,
        1 => drop(chars.remove(at)),
        _ => chars.insert(at, with),
    }
    chars.into_iter().collect()
}
