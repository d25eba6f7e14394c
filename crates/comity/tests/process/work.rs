//! A stranger's price, as somebody at the command line meets it.

use crate::support::TestNode;

#[test]
fn a_home_pays_the_price_and_says_nothing_of_it_to_a_program() {
    let (here, there) = (TestNode::start(), TestNode::start_demanding(16));
    here.add("aria");
    let bruno = there.add("bruno");
    let to = bruno["did"].as_str().unwrap();
    let send = ["send", "--as", "aria", to, r#"{"content":"Hello"}"#, "--wait", "accepted"];
    let run = here.run(&send);
    let sent = run.ok();
    assert_eq!((&sent["state"], &sent["pending"]), (&"accepted".into(), &true.into()));
    assert_eq!(run.stderr, "", "progress is for those who see it change");
    let requests = there.run(&["requests", "--as", "bruno"]).json();
    assert_eq!(requests["state"], "pending");
}

#[test]
fn what_is_too_dear_ends_in_a_refusal_that_says_how_to_pay_more() {
    let (here, there) = (TestNode::start(), TestNode::start_demanding(16));
    here.add("aria");
    let bruno = there.add("bruno");
    let to = bruno["did"].as_str().unwrap();
    let mut send = vec!["send", "--as", "aria", to, "{}", "--wait", "accepted", "--work-max", "15"];
    let error = here.run(&send).error(3);
    assert_eq!(error["code"], "e.p.req.work-too-dear");
    let why = error["why"].as_str().unwrap();
    assert!(why.contains("16 bits") && why.contains("--work-max 16"), "{why}");
    *send.last_mut().unwrap() = "16";
    assert_eq!(here.run(&send).ok()["state"], "accepted");
    assert_eq!(here.run(&["send", "--as", "aria", to, "--work-max", "33"]).code, 1);
}
