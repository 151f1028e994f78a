//! The demo, as a stranger runs it: all three methods, and every product at the end that the sample foresees.

use crate::support::{files, regflow};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_well_and_says_where_to_look() {
    let data = tempfile::tempdir().unwrap();
    let output = regflow()
        .args(["demo", "--data"])
        .arg(data.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in
        ["11 registered by the maker's API", "5 registered by the maker's web form", "4 prepared", "packets/RF-"]
    {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let packets = files(&data.path().join("packets"));
    assert!(packets.len() >= 3, "{packets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_a_mistake_is_refused_with_its_line_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.csv");
    std::fs::write(&path, "brand,model,priority\nNorrland,VK 200,SOON\n").unwrap();
    let output = regflow().args(["demo", "--file"]).arg(&path).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("mine.csv: line 2: `priority` is \"SOON\""), "{text}");
}
