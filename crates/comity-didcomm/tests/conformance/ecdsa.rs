//! ECDSA over SHA-256 whose nonce is a hash of key and text, so that the published corpus can be made again byte by
//! byte. Slow, not constant in time, and for published test keys only.

use aws_lc_rs::digest::{Context, SHA256};

use super::curve::{Curve, ecdsa_point};

/// 256 bits, least significant limb first.
type Number = [u64; 4];

/// Signs; always with the low one of the two possible `s`.
pub(crate) fn sign(curve: Curve, secret: &[u8], text: &[u8]) -> Vec<u8> {
    let order = order(curve);
    let nonce = |counter: u8| {
        let mut hash = Context::new(&SHA256);
        hash.update(secret);
        hash.update(&[counter]);
        hash.update(text);
        hash.finish().as_ref().to_vec()
    };
    let nonce = (0..=u8::MAX).map(nonce).find(|nonce| less(&number(nonce), &order)).unwrap();
    let point = ecdsa_point(curve, &nonce);
    let mut hash = Context::new(&SHA256);
    hash.update(text);
    let digest = reduced(number(hash.finish().as_ref()), &order);
    let r = reduced(number(&point[1..33]), &order);
    let key = number(secret);
    let sum = add(&digest, &multiply(&r, &key, &order), &order);
    let s = multiply(&inverse(number(&nonce), &order), &sum, &order);
    let other = subtract(&order, &s).0;
    let low = if less(&other, &s) { other } else { s };
    [bytes(&r), bytes(&low)].concat()
}

/// The other valid signature of the same text: `s` replaced by the order less `s`.
pub(crate) fn with_other_s(curve: Curve, signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    [r.to_vec(), bytes(&subtract(&order(curve), &number(s)).0)].concat()
}

fn order(curve: Curve) -> Number {
    match curve {
        Curve::P256 => [
            0xf3b9_cac2_fc63_2551,
            0xbce6_faad_a717_9e84,
            0xffff_ffff_ffff_ffff,
            0xffff_ffff_0000_0000,
        ],
        _ => [
            0xbfd2_5e8c_d036_4141,
            0xbaae_dce6_af48_a03b,
            0xffff_ffff_ffff_fffe,
            0xffff_ffff_ffff_ffff,
        ],
    }
}

fn number(bytes: &[u8]) -> Number {
    let limb = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    [limb(24), limb(16), limb(8), limb(0)]
}

fn bytes(number: &Number) -> Vec<u8> {
    number.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

fn less(one: &Number, other: &Number) -> bool {
    one.iter().rev().lt(other.iter().rev())
}

fn reduced(value: Number, order: &Number) -> Number {
    if less(&value, order) { value } else { subtract(&value, order).0 }
}

/// The difference modulo 2^256, and whether it had to borrow.
fn subtract(one: &Number, other: &Number) -> (Number, bool) {
    let mut out = [0; 4];
    let mut borrow = false;
    for at in 0..4 {
        let (first, under) = one[at].overflowing_sub(other[at]);
        let (second, again) = first.overflowing_sub(u64::from(borrow));
        (out[at], borrow) = (second, under || again);
    }
    (out, borrow)
}

/// The sum modulo 2^256, and whether it was carried over.
fn plain_sum(one: &Number, other: &Number) -> (Number, bool) {
    let mut out = [0; 4];
    let mut carry = false;
    for at in 0..4 {
        let (first, over) = one[at].overflowing_add(other[at]);
        let (second, again) = first.overflowing_add(u64::from(carry));
        (out[at], carry) = (second, over || again);
    }
    (out, carry)
}

fn add(one: &Number, other: &Number, order: &Number) -> Number {
    let (sum, carry) = plain_sum(one, other);
    if carry || !less(&sum, order) { subtract(&sum, order).0 } else { sum }
}

fn multiply(one: &Number, other: &Number, order: &Number) -> Number {
    let mut product = [0; 4];
    for limb in one.iter().rev() {
        for bit in (0..64).rev() {
            product = add(&product, &product, order);
            if limb >> bit & 1 == 1 {
                product = add(&product, other, order);
            }
        }
    }
    product
}

/// The inverse, by the binary form of Euclid's algorithm.
fn inverse(value: Number, order: &Number) -> Number {
    const ONE: Number = [1, 0, 0, 0];
    let (mut u, mut v) = (value, *order);
    let (mut x, mut y) = (ONE, [0; 4]);
    while u != ONE && v != ONE {
        while u[0] & 1 == 0 {
            u = halved(&u, false);
            x = half(&x, order);
        }
        while v[0] & 1 == 0 {
            v = halved(&v, false);
            y = half(&y, order);
        }
        if less(&u, &v) {
            v = subtract(&v, &u).0;
            y = add(&y, &subtract(order, &x).0, order);
        } else {
            u = subtract(&u, &v).0;
            x = add(&x, &subtract(order, &y).0, order);
        }
    }
    if u == ONE { x } else { y }
}

fn half(value: &Number, order: &Number) -> Number {
    if value[0] & 1 == 0 {
        return halved(value, false);
    }
    let (sum, carry) = plain_sum(value, order);
    halved(&sum, carry)
}

fn halved(value: &Number, carry: bool) -> Number {
    let mut out = [0; 4];
    let mut above = u64::from(carry);
    for at in (0..4).rev() {
        out[at] = value[at] >> 1 | above << 63;
        above = value[at] & 1;
    }
    out
}
