use std::io::ErrorKind;

use super::*;

const SOON: Duration = Duration::from_millis(100);

fn limited(limits: Limits) -> Server {
    Server::with("", limits)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// `HTTP/1.1 200`
fn status_line(mut stream: &TcpStream) -> String {
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start).into_owned()
}

/// All that comes until the server closes the connection.
fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // What was sent and not read makes it so.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_head_beyond_the_limit_is_refused() {
    let server = Server::start();
    let stream = send(&server, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20_000)));
    assert_eq!(status_line(&stream), "HTTP/1.1 431");
    let headers: String = (0..65).map(|number| format!("x{number}: y\r\n")).collect();
    let stream = send(&server, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n"));
    assert_eq!(status_line(&stream), "HTTP/1.1 431");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let server = limited(Limits { head_time: SOON, ..Limits::default() });
    for start in ["", "GET /healthz HTTP/1.1\r\nhost: "] {
        let answer = rest(&send(&server, start));
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[test]
fn a_body_is_never_read() {
    let server = Server::start();
    for (method, status) in [("GET", "HTTP/1.1 200"), ("POST", "HTTP/1.1 405")] {
        let head = format!("{method} /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n");
        let stream = send(&server, &head);
        assert_eq!(status_line(&stream), status);
        // It ends here, and not when the billion bytes have come.
        rest(&stream);
    }
}

#[test]
fn connections_beyond_the_limit_wait() {
    let server = limited(Limits { connections: 1, ..Limits::default() });
    let first = send(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status_line(&first), "HTTP/1.1 200");
    let second = send(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    second.set_read_timeout(Some(SOON)).unwrap();
    assert!((&second).read(&mut [0]).is_err(), "it is not answered while the first is open");
    drop(first);
    second.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(status_line(&second), "HTTP/1.1 200");
}

#[test]
fn an_answer_that_nobody_takes_ends_its_connection() {
    let server = limited(Limits { connections: 1, stall_time: SOON, ..Limits::default() });
    // More than the buffers between the two take.
    let name = "n".repeat(50_000);
    for number in 0..1000 {
        let id = number.to_string();
        let mut record = campaign(&id, "search", "deficit", "300", json!(0.5));
        record["name"] = json!(name);
        server.take(&id, &record);
    }
    let stalled = send(&server, "GET /v1/campaigns?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status_line(&stalled), "HTTP/1.1 200");
    let next = send(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status_line(&next), "HTTP/1.1 200");
}

#[test]
fn a_connection_ends_at_its_age_however_busy_it_is() {
    let server = limited(Limits { connection_age: SOON, ..Limits::default() });
    let stream = connect(&server);
    let closed = (0..).find(|_| {
        let asked = (&stream).write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        asked.is_err() || (&stream).read(&mut [0; 4096]).map_or(true, |read| read == 0)
    });
    assert!(closed.is_some());
}
