use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn read(text: &str) -> Result<Members<'_>, Malformed> {
    let mut members = Members::new();
    read_record(text, &mut members).map(|_| members)
}

/// `serde_json` reads it as JSON.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// It is JSON, but an object whose own field names repeat or are not Unicode text.
fn is_refused_for_its_names(text: &str) -> bool {
    matches!(read(text), Err(Malformed::Twice(_) | Malformed::Name))
}

#[test]
fn what_is_json_is_decided_as_serde_json_does() {
    let texts = [
        "",
        " ",
        "{}",
        " { } ",
        "[]",
        "null",
        "nul",
        "nulll",
        "true",
        "tru",
        "false",
        "{",
        "}",
        "{]",
        "[}",
        "[1,]",
        "[,1]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1"#,
        r#"{"a":1}}"#,
        r#"{"a":1} x"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{"a" : [ { "b" : [ ] } , 1 ] , "c":{} }"#,
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-a",
        "1.",
        ".1",
        "1.5",
        "1e",
        "1e+",
        "1e5",
        "1E-5",
        "+1",
        "1e5.5",
        "0x1",
        "NaN",
        "Infinity",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\",
        "\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "\"é\"",
        "\u{feff}{}",
        "\u{a0}{}",
        "[1 2]",
        r#"{"a":1 "b":2}"#,
        "/*c*/{}",
        "[[[]]]",
        "[[[]]",
    ];
    for text in texts {
        assert_eq!(read(text).is_ok(), is_json(text), "{text}: {:?}", read(text));
    }
}

#[test]
fn a_string_ends_at_the_first_byte_that_ends_it() {
    for length in 0..40 {
        for plain in ['x', ' ', '!', '#', '[', ']', '\u{7f}', 'é', '\u{80}', '\u{ffff}'] {
            let plain = plain.to_string().repeat(length);
            let text = format!(r#"{{"a":"{plain}","b\\":"\\","c":"{plain}\"{plain}"}}"#);
            let members = read(&text).unwrap();
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            for (name, value) in members {
                let Value::String(value) = value else { panic!("{text}") };
                assert_eq!(value.decode().as_deref(), expected[&*name.decode().unwrap()].as_str(), "{text}");
            }
            for control in ['\0', '\u{1f}', '\n'] {
                assert!(read(&format!("\"{plain}{control}{plain}\"")).is_err());
            }
        }
    }
}

#[test]
fn nesting_is_read_at_any_depth() {
    for depth in [31, 32, 33, 127, 128, 400_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested).is_ok(), "{depth}");
        assert!(read(&nested[1..]).is_err(), "{depth}");
        assert!(read(&nested[..nested.len() - 1]).is_err(), "{depth}");
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(read(&objects).is_ok(), "{depth}");
    }
}

#[test]
fn a_name_that_stands_twice_is_found_among_few_and_among_many() {
    for fields in [2, 32, 33, 60_000] {
        let mut text: Vec<String> = (0..fields).map(|i| format!(r#""field-{i}":{i}"#)).collect();
        assert_eq!(read(&format!("{{{}}}", text.join(","))).map(|members| members.len()), Ok(fields));
        text[fields - 1] = r#""f\u0069eld-0":null"#.to_owned();
        assert_eq!(read(&format!("{{{}}}", text.join(","))), Err(Malformed::Twice("field-0".to_owned())));
    }
}

#[test]
fn a_name_is_cut_in_the_message() {
    let name = "é".repeat(1_000);
    let Err(Malformed::Twice(shown)) = read(&format!(r#"{{"{name}":1,"{name}":2}}"#)) else { panic!() };
    assert_eq!(shown, "é".repeat(32));
}

#[test]
fn elements_are_walked_with_any_space_around() {
    for (array, objects) in [("[]", 0), ("[ ]", 0), ("[{}]", 1), ("[ {\"a\":[1,{}]} , {} ]", 2), ("[{},{},{}]", 3)] {
        let mut elements = Elements::of(array);
        let mut members = Members::new();
        for _ in 0..objects {
            assert!(matches!(elements.next(&mut members), Ok(Element::Object)), "{array}");
        }
        assert!(matches!(elements.next(&mut members), Ok(Element::End)), "{array}");
    }
    let mut elements = Elements::of("[1 , {} ]");
    assert!(matches!(elements.next(&mut Members::new()), Ok(Element::Other)));
    assert!(matches!(elements.next(&mut Members::new()), Ok(Element::Object)));
    assert!(matches!(elements.next(&mut Members::new()), Ok(Element::End)));
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
    fn nearly_json_is_decided_as_serde_json_does(text in nearly_json()) {
        prop_assert_eq!(read(&text).is_ok(), is_json(&text) && !is_refused_for_its_names(&text));
        if is_refused_for_its_names(&text) {
            prop_assert!(is_json(&text));
        }
    }

    #[test]
    fn json_is_read_however_it_is_laid_out(value in json_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let members = read(&text).unwrap();
        if let serde_json::Value::Object(fields) = &value {
            prop_assert_eq!(members.len(), fields.len());
            for (name, read) in &members {
                match (read, &fields[&*name.decode().unwrap()]) {
                    (Value::String(text), serde_json::Value::String(expected)) => {
                        prop_assert_eq!(text.decode().map(Cow::into_owned), Some(expected.clone()));
                    }
                    (Value::Number(text), number) => prop_assert_eq!(*text, number.to_string()),
                    (Value::Array(text), array) => {
                        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(text).unwrap(), array);
                    }
                    (Value::Null, other) => prop_assert!(other.is_null()),
                    (Value::Boolean, other) => prop_assert!(other.is_boolean()),
                    (Value::Object, other) => prop_assert!(other.is_object()),
                    (Value::String(_), other) => prop_assert!(false, "{other} was read as a string"),
                }
            }
        }
    }

    #[test]
    fn strings_are_decoded_as_serde_json_does(pieces in prop::collection::vec(prop_oneof![
        "[a-zé😀]{0,3}",
        prop::sample::select(vec!["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t", "\\u0000", "\\u00e9"]).prop_map(str::to_owned),
        prop::sample::select(vec!["\\ud83d", "\\uDE00", "\\ud83d\\ude00", "\\ud83dx", "\\uD83D\\n"]).prop_map(str::to_owned),
    ], 0..6)) {
        let text = format!(r#"{{"a":"{}"}}"#, pieces.concat());
        let members = read(&text).unwrap();
        let Value::String(read) = members[0].1 else { panic!() };
        let expected = serde_json::from_str::<serde_json::Value>(&text).ok().map(|value| value["a"].as_str().unwrap().to_owned());
        prop_assert_eq!(read.decode().map(Cow::into_owned), expected);
    }
}
