use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Members<'_>, Malformed> {
    let mut document = Document::default();
    document.read(text).map(|_| document.members)
}

/// How many fields each object of an array has, and why it ended early.
fn sizes_of_objects(array: &str) -> (Vec<usize>, Option<Stopped<()>>) {
    let mut sizes = Vec::new();
    let read = read_objects(array, |members| {
        sizes.push(members.len());
        if sizes.len() < 3 { Ok(()) } else { Err(()) }
    });
    (sizes, read.err())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[test]
fn what_is_json_but_no_object_is_told_from_what_is_not_json() {
    let objects = ["{}", " { } ", "\r\n\t {}", r#"{"a" : [ { "b" : [ ] } , 1 ] , "c":{} }"#, r#"{"a":1e999999999}"#];
    let others = ["[]", " null ", "true", "-0", "1e5", "\"{}\"", "\"\\ud800\"", "[[[]]]", "[{}]"];
    let malformed = [
        "",
        " ",
        "{",
        "}",
        "{]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1"#,
        r#"{"a":1}}"#,
        r#"{"a":1} x"#,
        r#"{"a":1 "b":2}"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":NaN}"#,
        "{\"a\":\"\t\"}",
        r#"{"a":"\x"}"#,
        r#"{"\ud800":1}"#,
        "[] {}",
        "[1 2]",
        "[1,]",
        "nul",
        "00",
        "\u{feff}{}",
        "\u{a0}{}",
        "/*c*/{}",
    ];
    for (texts, expected) in [(&objects[..], Some(true)), (&others[..], Some(false)), (&malformed[..], None)] {
        for text in texts {
            assert_eq!(Document::default().read(text).ok(), expected, "{text}");
        }
    }
}

#[test]
fn objects_of_an_array_are_read_until_there_is_a_reason_to_stop() {
    assert!(matches!(sizes_of_objects("[]"), (sizes, None) if sizes.is_empty()));
    assert!(matches!(sizes_of_objects(r#" [ {"a":1} , {} ] "#), (sizes, None) if sizes == [1, 0]));
    assert!(matches!(sizes_of_objects("[{},{},{},{}]"), (sizes, Some(Stopped::Refused(()))) if sizes == [0, 0, 0]));
    for no_object in ["null", "[]", "[[{}]]", "1e999999999", "\"a\"", "true"] {
        let (sizes, stopped) = sizes_of_objects(&format!("[{{}},{no_object},{{}}]"));
        assert!(matches!(stopped, Some(Stopped::NoObject)), "{no_object}: {stopped:?}");
        assert_eq!(sizes, [0], "{no_object}");
    }
    for malformed in [r#"{"a":1,"a":2}"#, r#"{"\ud800":1}"#] {
        let (sizes, stopped) = sizes_of_objects(&format!("[{{}},{malformed}]"));
        assert!(matches!(stopped, Some(Stopped::Malformed(_))), "{malformed}: {stopped:?}");
        assert_eq!(sizes, [0], "{malformed}");
    }
}

/// Names and texts.
type Fields = Vec<(String, String)>;

/// The fields of the objects of a list, up to the first error.
fn objects_of(list: &str, takes_lists: bool) -> Option<(Vec<Fields>, Option<String>)> {
    let record_text = format!(r#"{{"items":{list}}}"#);
    let mut document = Document::default();
    document.read_fields(&record_text, takes_lists).ok()?;
    let mut objects = Vec::new();
    let take = |members: &[Member<'_>]| {
        let text = |raw: Raw<'_>| match raw {
            Raw::Text(raw) => raw.get().to_owned(),
            Raw::Objects { .. } => panic!("an object of a list has no such list"),
        };
        objects.push(members.iter().map(|(name, raw)| (name.0.to_string(), text(*raw))).collect());
        Ok::<_, ()>(())
    };
    let stopped = match Value::of(document.members[0].1) {
        Value::Array(array) => document.each_object(array, take),
        _ => Ok(()),
    };
    Some((objects, stopped.err().map(|stopped| format!("{stopped:?}"))))
}

#[test]
fn lists_are_taken_apart_where_they_are_lists_of_objects() {
    for list in ["[]", "[{}]", r#"[{"items":[{}]}]"#, r#" [ {"a" : 1, "\u0061b":[1]} , {} , {"a":{"b":null}} ] "#] {
        assert!(objects_of(list, true).is_some(), "{list}");
    }
    for other in ["1", "{}", "\"\"", "[1]", "[null]", "[[]]", r#"[{},{"\ud800":1}]"#] {
        assert_eq!(objects_of(other, true), None, "{other}");
        assert!(read(&format!(r#"{{"items":{other}}}"#)).is_ok(), "{other}");
    }
    let many = format!("[{}]", vec!["{}"; MOST_INNER + 1].join(","));
    assert_eq!(objects_of(&many, true), None);
    assert_eq!(objects_of(&many, false).unwrap().0.len(), MOST_INNER + 1);
}

#[test]
fn nesting_is_read_at_any_depth() {
    for depth in [127, 128, 400_000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let field = format!(r#"{{"a":{arrays},"b":{objects}}}"#);
        for text in [&arrays, &objects, &field] {
            assert!(read(text).is_ok(), "{depth}");
            assert!(read(&text[..text.len() - 1]).is_err(), "{depth}");
        }
    }
}

#[test]
fn a_name_that_stands_twice_is_found_among_few_and_among_many() {
    for fields in [2, 32, 33, 60_000] {
        let mut text: Vec<String> = (0..fields).map(|i| format!(r#""field-{i}":{i}"#)).collect();
        assert_eq!(read(&format!("{{{}}}", text.join(","))).unwrap().len(), fields);
        text[fields - 1] = r#""f\u0069eld-0":null"#.to_owned();
        let error = read(&format!("{{{}}}", text.join(","))).unwrap_err();
        assert_eq!(error.to_string(), "the field `field-0` appears twice");
    }
}

#[test]
fn a_name_is_cut_in_the_message() {
    let name = "é".repeat(1_000);
    let Err(Malformed::Twice(shown)) = read(&format!(r#"{{"{name}":1,"{name}":2}}"#)) else { panic!() };
    assert_eq!(shown, "é".repeat(32));
}

#[test]
fn names_and_texts_are_borrowed_unless_they_are_escaped() {
    let members = read(r#"{"é":"😀","\u0061":"\ud83d\ude00\n","b":"\ud83d"}"#).unwrap();
    let read: Vec<_> = members.iter().map(|(name, value)| (&name.0, Value::of(*value).text())).collect();
    assert!(matches!(read[0], (Cow::Borrowed("é"), Some(Cow::Borrowed("😀")))));
    assert!(matches!(&read[1], (Cow::Owned(name), Some(Cow::Owned(text))) if name == "a" && text == "😀\n"));
    assert_eq!(read[2].1, None);
}

/// Texts made of the pieces of JSON: nearly JSON, and JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["{", "}", "[", "]", ",", ":", " ", "\n", "\"a\"", "\"b\"", "\"a\":", "\"b\":", "1", "-0.5e3"]),
        1 => prop::sample::select(vec!["\"", "\\", "true", "null", "\\u0061", "\\ud83d\\ude00", "\\ud800", "é", "0", "."]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_refused_is_no_json_or_has_such_names(text in nearly_json()) {
        let begins_as_object = text.trim_start().starts_with('{');
        match Document::default().read(&text) {
            Ok(is_object) => prop_assert!(is_json(&text) && is_object == begins_as_object),
            Err(Malformed::Twice(_)) => prop_assert!(is_json(&text) && begins_as_object),
            // Half of a surrogate pair in a name is the one thing more.
            Err(Malformed::Json(_)) => prop_assert!(!is_json(&text) || text.contains("\\ud800")),
        }
    }

    #[test]
    fn lists_are_read_alike_in_both_ways(
        objects in prop::collection::vec(
            prop::collection::vec(("a|b|c|\\\\u0061|d", "1|-0\\.50|\"x\"|null|\\[\\{\"a\":1\\}\\]|\\{\\}| true "), 0..4),
            0..5,
        ),
    ) {
        let object = |fields: &Vec<(String, String)>| {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
            format!("{{{}}}", fields.join(" , "))
        };
        let list = format!("[{}]", objects.iter().map(object).collect::<Vec<_>>().join(","));
        let apart = objects_of(&list, true);
        prop_assert!(apart.is_some());
        prop_assert_eq!(apart, objects_of(&list, false));
    }

    #[test]
    fn json_is_read_however_it_is_laid_out(value in json_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let members = read(&text).unwrap();
        if let serde_json::Value::Object(fields) = &value {
            prop_assert_eq!(members.len(), fields.len());
            for (name, raw) in &members {
                match (Value::of(*raw), &fields[&*name.0]) {
                    (read @ Value::String(_), serde_json::Value::String(expected)) => {
                        prop_assert_eq!(read.text(), Some(Cow::Borrowed(&**expected)));
                    }
                    (Value::Number(text), number) => prop_assert_eq!(text, number.to_string()),
                    (Value::Array(Raw::Objects { .. }), _) => prop_assert!(false, "{name:?} is no list that records have"),
                    (Value::Array(Raw::Text(text)), array) => {
                        let text = text.get();
                        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(text).unwrap(), array);
                        let objects = array.as_array().unwrap().iter().map_while(serde_json::Value::as_object);
                        let sizes: Vec<usize> = objects.map(serde_json::Map::len).take(3).collect();
                        prop_assert_eq!(sizes_of_objects(text).0, sizes);
                    }
                    (Value::Null, other) => prop_assert!(other.is_null()),
                    (Value::Other, other) => prop_assert!(other.is_boolean() || other.is_object()),
                    (Value::String(_), other) => prop_assert!(false, "{other} was read as a string"),
                }
            }
        }
    }
}
