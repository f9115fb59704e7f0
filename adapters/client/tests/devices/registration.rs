use doubletick_client::{Phone, Profile, RegisterError, Reject, Server, StartError};

use crate::disk::{Disk, Unsynced};
use crate::world::{CODE, House, run};

fn phone() -> Phone {
    Phone::parse("+4915100000001").unwrap()
}

#[test]
fn a_wrong_code_may_be_followed_by_the_right_one() {
    run(async {
        let house = House::open().await;
        let profile = Profile::open_on(Disk::default(), house.address()).unwrap();
        assert!(matches!(profile.verify(CODE, "test").await, Err(RegisterError::NotAsked)));
        profile.register(&phone()).await.unwrap();
        let error = profile.verify("000000", "test").await.unwrap_err();
        assert!(matches!(error, RegisterError::Refused { reject: Some(Reject::WrongCode), .. }), "{error:?}");
        assert_eq!(error.to_string(), "The verification code is wrong");
        assert_eq!(profile.account().unwrap(), None);
        let account = profile.verify(CODE, "test").await.unwrap();
        assert_eq!(profile.account().unwrap(), Some(account.clone()));
        assert_eq!((account.phone, account.server), (phone(), house.address().to_string()));
    });
}

#[test]
fn a_verification_whose_answer_was_lost_is_the_same_device_when_it_is_tried_again() {
    run(async {
        let house = House::open().await;
        let disk = Disk::default();
        let profile = Profile::open_on(disk.clone(), house.address()).unwrap();
        profile.register(&phone()).await.unwrap();
        // The server answers, and the device dies before it has stored the answer.
        disk.fail_at(0);
        assert!(matches!(profile.verify(CODE, "test").await, Err(RegisterError::Storage(_))));
        let profile = Profile::open_on(disk.after_crash(Unsynced::Lost), house.address()).unwrap();
        assert_eq!(profile.account().unwrap(), None);
        let account = profile.verify(CODE, "test").await.unwrap();
        assert_eq!(account.device.serial, 1);
        let client = profile.start().unwrap();
        assert_eq!(client.devices().await.unwrap(), [1]);
    });
}

#[test]
fn a_profile_that_was_never_registered_does_not_start() {
    run(async {
        let house = House::open().await;
        let profile = Profile::open_on(Disk::default(), house.address()).unwrap();
        assert!(matches!(profile.start(), Err(StartError::NotRegistered)));
    });
}

#[test]
fn a_server_that_is_not_there_or_is_another_kind_is_said_to_be() {
    run(async {
        let mut house = House::open().await;
        house.kill().await;
        let profile = Profile::open_on(Disk::default(), house.address()).unwrap();
        let error = profile.register(&phone()).await.unwrap_err();
        assert!(error.to_string().contains("cannot be reached"), "{error}");

        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Server::parse(&format!("http://{}", other.local_addr().unwrap())).unwrap();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = other.accept().await.unwrap();
            // Answered only once it has come, so that the answer is one.
            let mut request = vec![];
            while !request.ends_with(b"}") {
                tokio::io::AsyncReadExt::read_buf(&mut stream, &mut request).await.unwrap();
            }
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        });
        let profile = Profile::open_on(Disk::default(), address).unwrap();
        let error = profile.register(&phone()).await.unwrap_err();
        assert_eq!(error.to_string(), "this is no Doubletick server: an answer 404 Not Found that is not of this protocol");
        answering.await.unwrap();
    });
}
