//! The benchmark of a flood, small: what it counts has to be so, how fast it is decides nothing.

use super::support::comity;

#[test]
fn a_flood_is_charged_pays_and_is_held_and_keeps_no_friend_away() {
    let figures = comity(&["bench", "--flood", "20", "--seconds", "1", "--full", "--json"]).ok();
    let (unpaid, paid) = (&figures["unpaid"], &figures["paid"]);
    let answers =
        |wave: &serde_json::Value| ["taken", "charged", "turned_away"].map(|one| wave[one].clone());
    assert_eq!(answers(unpaid), [0, 20, 0], "{figures}");
    assert_eq!(answers(paid), [20, 0, 0], "{figures}");
    assert_eq!((&unpaid["requests_held"], &paid["requests_held"]), (&0.into(), &20.into()));
    assert_eq!((&figures["puzzles_solved"], &figures["bits_most"]), (&20.into(), &20.into()));
    assert_eq!(figures["friends_delivered_percent"], 100.0);
    assert_ne!(figures["friends_sent"], 0);
}
