//! Both versions, both ways, and what peers get wrong.

use super::*;

fn id() -> MessageId {
    MessageId::parse("m-1").unwrap()
}

fn bob() -> Did {
    "did:web:bob.example".parse().unwrap()
}

fn every() -> Vec<Mediation> {
    let update = Update {
        recipient_did: bob(),
        action: Action::Add,
        proof: Some(json!({ "payload": "x" })),
    };
    let updated = Updated {
        recipient_did: bob(),
        action: Action::Remove,
        result: UpdateResult::NoChange,
        code: Some("e.p.trust".to_owned()),
    };
    let pagination = Some(Pagination { count: 1, offset: 2, remaining: 3 });
    vec![
        Mediation::Request,
        Mediation::Deny,
        Mediation::Grant { routing_did: vec![bob()] },
        Mediation::Update(vec![update]),
        Mediation::Updated(vec![updated]),
        Mediation::Query { paginate: None },
        Mediation::Query { paginate: Some(Paginate { limit: 30, offset: 0 }) },
        Mediation::List { dids: vec![bob()], pagination },
    ]
}

#[test]
fn every_message_survives_both_ways_in_both_versions() {
    for version in [Version::V2, Version::V3] {
        for mediation in every() {
            let message = mediation.clone().into_message(version, id());
            assert_eq!(Mediation::parse(&message), Ok((version, mediation)));
        }
    }
}

#[test]
fn a_version_has_its_own_words() {
    let texts = |version| {
        let messages = every().into_iter().map(|one| one.into_message(version, id()));
        messages.map(|one| String::from_utf8(one.to_json()).unwrap()).collect::<String>()
    };
    let (old, new) = (texts(Version::V2), texts(Version::V3));
    assert!(old.contains("2.0/keylist-update\"") && old.contains("\"keys\":[{"));
    assert!(old.contains("\"routing_did\":\"did:web:bob.example\""));
    assert!(new.contains("3.0/recipient-update\"") && new.contains("\"dids\":[{"));
    assert!(new.contains("\"routing_did\":[\"did:web:bob.example\"]"));
    assert!(!old.contains("recipient-") && !new.contains("keylist"));
}

#[test]
fn a_message_of_the_other_version_or_of_none_is_unknown() {
    for name in ["2.0/recipient-update", "3.0/keylist-update", "3.0/grant", "4.0/mediate-request"] {
        let type_ = format!("https://didcomm.org/coordinate-mediation/{name}").parse().unwrap();
        let result = Mediation::parse(&Message::new(id(), type_));
        assert_eq!(result, Err(ProtocolError::Unknown), "{name}");
    }
}

#[test]
fn malformed_and_oversized_updates_are_told_apart() {
    let update = |updates: Value| {
        let type_ = format!("{COORDINATE_MEDIATION_3}/recipient-update").parse().unwrap();
        Mediation::parse(&Message::new(id(), type_).with_body_member("updates", updates))
    };
    let good = json!({ "recipient_did": "did:web:bob.example", "action": "add" });
    assert!(update(json!([good])).is_ok());
    for bad in [
        json!("x"),
        json!([1]),
        json!([{ "recipient_did": "bob", "action": "add" }]),
        json!([{ "recipient_did": "did:web:bob.example", "action": "steal" }]),
        json!([{ "recipient_did": "did:web:bob.example" }]),
    ] {
        assert_eq!(update(bad.clone()), Err(ProtocolError::Malformed), "{bad}");
    }
    let many = vec![good; RECIPIENT_UPDATES_MAX + 1];
    assert_eq!(update(json!(many)), Err(ProtocolError::TooMany));
}
