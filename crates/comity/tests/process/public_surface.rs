//! What answers where: nothing of the operator's or the agents' on the public listener, nothing without a
//! token on the local one, and nothing there to a browser that was led astray (threat T31).

use super::support::{TestNode, comity, request};

/// Every route of the local listener, with its method.
const LOCAL_ROUTES: [(&str, &str); 20] = [
    ("POST", "/v1/messages"),
    ("GET", "/v1/messages"),
    ("POST", "/v1/settle"),
    ("GET", "/v1/messages/m-1/trace"),
    ("GET", "/v1/me"),
    ("GET", "/v1/socket"),
    ("GET", "/admin/status"),
    ("GET", "/admin/checks"),
    ("GET", "/admin/agents"),
    ("POST", "/admin/agents"),
    ("GET", "/admin/agents/aria"),
    ("GET", "/admin/agents/aria/requests"),
    ("GET", "/admin/agents/aria/allowed"),
    ("POST", "/admin/agents/aria/allow"),
    ("POST", "/admin/agents/aria/deny"),
    ("POST", "/admin/agents/aria/revoke"),
    ("GET", "/admin/relay/registrations"),
    ("POST", "/admin/relay/remove"),
    ("GET", "/admin/resolve?who=did:key:z"),
    ("GET", "/admin/trace/m-1"),
];

fn admin_bearer(node: &TestNode) -> String {
    let token = std::fs::read_to_string(node.data().join("admin.token")).unwrap();
    format!("Bearer {}", token.trim())
}

#[test]
fn no_local_route_answers_on_the_public_listener() {
    let node = TestNode::start();
    let aria = node.add("aria");
    let agent = format!("Bearer {}", aria["token"].as_str().unwrap());
    for bearer in [admin_bearer(&node), agent] {
        for (method, path) in LOCAL_ROUTES {
            let headers = [("authorization", bearer.as_str()), ("comity-agent", "aria")];
            let answer = request(&node.url(), method, path, &headers, b"");
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn no_local_route_answers_without_a_token_or_with_a_wrong_one() {
    let node = TestNode::start();
    node.add("aria");
    for headers in
        [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic eDp5")]]
    {
        for (method, path) in LOCAL_ROUTES {
            let answer = request(&node.local(), method, path, headers, b"");
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn an_agents_token_opens_nothing_of_the_operators() {
    let node = TestNode::start();
    let aria = node.add("aria");
    let bearer = format!("Bearer {}", aria["token"].as_str().unwrap());
    for (method, path) in LOCAL_ROUTES.into_iter().filter(|(_, path)| path.starts_with("/admin")) {
        let headers = [("authorization", bearer.as_str())];
        let answer = request(&node.local(), method, path, &headers, b"");
        assert!([401, 403].contains(&answer.status), "{method} {path}: {answer:?}");
    }
}

#[test]
fn a_foreign_host_or_origin_is_refused_even_with_the_token() {
    let node = TestNode::start();
    let bearer = admin_bearer(&node);
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "evil.example:7701"),
        ("origin", "https://evil.example"),
    ] {
        let headers = [("authorization", bearer.as_str()), (name, value)];
        let answer = request(&node.local(), "GET", "/admin/status", &headers, b"");
        assert_eq!(answer.status, 403, "{name}: {value}: {answer:?}");
    }
}

#[test]
fn the_public_listener_says_that_it_lives_and_who_lives_there() {
    let node = TestNode::start();
    let aria = node.add("aria");
    assert_eq!(request(&node.url(), "GET", "/livez", &[], b"").status, 200);
    let handle = aria["handle"].as_str().unwrap();
    let path = format!("/.well-known/webfinger?resource=acct:{handle}");
    let answer = request(&node.url(), "GET", &path, &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains(aria["did"].as_str().unwrap()));
    let nobody =
        request(&node.url(), "GET", "/.well-known/webfinger?resource=acct:nobody@x", &[], b"");
    assert_eq!(nobody.status, 404, "{nobody:?}");
}

#[cfg(unix)]
#[test]
fn secrets_on_the_disk_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = TestNode::start();
    for name in ["admin.token", "keystore.key"] {
        let mode = std::fs::metadata(node.data().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_second_node_does_not_take_the_same_data_directory() {
    let node = TestNode::start();
    let data = node.data();
    let any = "127.0.0.1:0";
    let second = comity(&[
        "up",
        "--json",
        "--listen",
        any,
        "--local",
        any,
        "--data",
        data.to_str().unwrap(),
    ]);
    second.error(2);
    assert_eq!(node.mailbox(), 0, "the first one goes on");
}
