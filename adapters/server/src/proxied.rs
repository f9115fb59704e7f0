//! The PROXY protocol, version 2: what a load balancer that passes TCP on says before everything else, so that the client's address is known.
//!
//! The standard is HAProxy's, <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>, section 2.2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes after the first sixteen that are read at the most: the largest addresses, and some of what may follow them.
const LONGEST: u16 = 1024;

/// Reads the header. `None`: it speaks of no address, as that of a health check does, which is the load balancer's own connection.
///
/// # Errors
/// If there is none, or it is not right: then nothing may be believed of the connection.
pub(crate) async fn client(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let length = u16::from_be_bytes([head[14], head[15]]);
    if head[..12] != SIGNATURE {
        return Err(wrong("it does not begin with a PROXY protocol header of version 2 (HAProxy: send-proxy-v2)"));
    }
    if head[12] >> 4 != 2 || length > LONGEST {
        return Err(wrong("its PROXY protocol header is of another version, or too long"));
    }
    let mut rest = [0; LONGEST as usize];
    let rest = &mut rest[..usize::from(length)];
    stream.read_exact(rest).await?;
    match (head[12] & 0x0f, head[13] >> 4, &*rest) {
        (0, ..) => Ok(None),
        // The source comes first.
        (1, 1, [a, b, c, d, ..]) if rest.len() >= 12 => Ok(Some(Ipv4Addr::new(*a, *b, *c, *d).into())),
        (1, 2, _) if rest.len() >= 36 => {
            let source: [u8; 16] = rest[..16].try_into().expect("it is long enough");
            Ok(Some(Ipv6Addr::from(source).to_canonical()))
        }
        (1, 0 | 3, _) => Ok(None),
        _ => Err(wrong("its PROXY protocol header is damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family << 4 | 1]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Option<IpAddr>, io::ErrorKind> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut stream = bytes;
        runtime.block_on(client(&mut stream)).map_err(|error| error.kind())
    }

    #[test]
    fn the_client_is_who_the_header_says_and_a_health_check_is_nobody() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4];
        assert_eq!(read(&header(1, 1, &v4)), Ok(Some(IpAddr::from([192, 0, 2, 7]))));
        assert_eq!(read(&header(1, 1, &[&v4[..], &[4, 0, 1, 0]].concat())), Ok(Some(IpAddr::from([192, 0, 2, 7]))), "more may follow");
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        assert_eq!(read(&header(1, 2, &[&v6.octets()[..], &[0; 20]].concat())), Ok(Some(v6.into())));
        assert_eq!(read(&header(0, 0, &[])), Ok(None));
        assert_eq!(read(&header(1, 0, &[])), Ok(None));
    }

    #[test]
    fn what_is_no_header_is_believed_nothing() {
        assert_eq!(read(b"GET /v1/ws HTTP/1.1\r\n\r\n"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&header(1, 1, &[1, 2, 3])), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&header(1, 2, &[0; 12])), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&header(2, 1, &[0; 12])), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&header(1, 1, &vec![0; 2000])), Err(io::ErrorKind::InvalidData));
        let mut newer = header(1, 1, &[0; 12]);
        newer[12] = 0x31;
        assert_eq!(read(&newer), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&header(1, 1, &[0; 12])[..20]), Err(io::ErrorKind::UnexpectedEof));
    }
}
