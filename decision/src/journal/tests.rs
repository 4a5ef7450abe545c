//! Whatever happens to the disk: what was reported durable is there, and what is there is a prefix.

use std::sync::{Arc, mpsc};

use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::decision::v1::JournalEntry;

use super::{
    Disk, Folder, Journal, JournalError, Record,
    frame::FRAME,
    log,
    power::{Fault, Power},
    scan::scan,
};

const SEGMENT: u64 = 600;

/// Reads all records of a disk.
fn contents(disk: &Power) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut records = Vec::new();
    log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, sequence, payload| {
        records.push(payload.to_vec());
        assert_eq!(sequence, records.len() as u64);
        Ok(())
    })?;
    Ok(records)
}

/// Appends batches until an error: the records that were reported durable, and those of the batch that failed.
fn append(disk: &Power, batches: &[Vec<Vec<u8>>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut durable = Vec::new();
    let Ok((mut appender, _)) = log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())) else {
        return (durable, Vec::new());
    };
    let mut places = Vec::new();
    for batch in batches {
        if appender.append(batch.iter().map(Vec::as_slice), &mut places).is_err() {
            return (durable, batch.clone());
        }
        durable.extend(batch.clone());
        appender.make_room();
        appender.rest();
    }
    // The power may have gone while room was made for more.
    let places = if disk.is_dead() { Vec::new() } else { places };
    for (i, (place, record)) in places.iter().zip(&durable).enumerate() {
        let first = appender.next() - durable.len() as u64;
        let read = appender.log().read(*place).expect("a record that was reported durable");
        assert_eq!(read, (first + i as u64, record.clone()));
    }
    (durable, Vec::new())
}

fn some_batches(count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<Vec<u8>>> {
    let mut batches = Vec::new();
    for _ in 0..count {
        let record = |rng: &mut ChaCha8Rng| (0..rng.random_range(1..60)).map(|_| rng.random()).collect();
        batches.push((0..rng.random_range(1..4)).map(|_| record(rng)).collect());
    }
    batches
}

/// A crash after each byte and each operation of a script, and in each of several states of the disk.
#[test]
fn a_power_cut_at_every_byte_loses_nothing_that_was_durable() {
    let batches = some_batches(24, &mut ChaCha8Rng::seed_from_u64(11));
    let whole = Power::default();
    let all = append(&whole, &batches).0;
    let files = whole.files();
    let segments: Vec<_> = files.iter().filter(|(name, _)| name.ends_with(".segment")).collect();
    assert!(
        segments.len() > 2 && files.len() > segments.len(),
        "the script crosses segments, and makes spares"
    );
    assert!(segments.last().expect("two").1.len() as u64 > SEGMENT, "it goes on in a spare");
    // A segment has room for a quarter of its length at a time.
    let is_long =
        |batch: &Vec<Vec<u8>>| batch.iter().map(|r| FRAME + r.len()).sum::<usize>() > SEGMENT as usize / 8;
    let long = batches.iter().filter(|batch| is_long(batch)).count();
    assert!((3..batches.len() - 2).contains(&long), "some are longer than their room, some are not: {long}");
    for budget in 0..whole.used() {
        for seed in 0..4 {
            let disk = Power::default();
            disk.fail_after(budget, Fault::PowerCut);
            let (durable, _) = append(&disk, &batches);
            disk.restart(&mut ChaCha8Rng::seed_from_u64(seed));
            let found = contents(&disk).unwrap_or_else(|e| panic!("cut at {budget}, seed {seed}: {e}"));
            assert!(found.len() >= durable.len(), "cut at {budget}, seed {seed}: lost a durable record");
            assert_eq!(found[..], all[..found.len()], "cut at {budget}, seed {seed}: not a prefix");
        }
    }
}

/// Many lives of one journal: each ends by a fault of some kind, some while it is being opened.
#[test]
fn a_journal_survives_any_sequence_of_faults() {
    for seed in 0..2_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = Power::default();
        let mut known: Vec<Vec<u8>> = Vec::new();
        for life in 0..6 {
            let fault = [Fault::PowerCut, Fault::Full, Fault::SyncFails][rng.random_range(0..3)];
            disk.fail_after(rng.random_range(0..400), fault);
            let count = rng.random_range(1..6);
            let (durable, unsure) = append(&disk, &some_batches(count, &mut rng));
            match fault {
                Fault::PowerCut => disk.restart(&mut rng),
                Fault::Full | Fault::SyncFails if rng.random() => disk.restart(&mut rng),
                Fault::Full | Fault::SyncFails => disk.restart_process(),
            }
            known.extend(durable);
            let found = contents(&disk).unwrap_or_else(|e| panic!("seed {seed}, life {life}: {e}"));
            assert!(found.len() >= known.len(), "seed {seed}, life {life}: lost a durable record");
            known.extend(unsure);
            assert_eq!(found[..], known[..found.len()], "seed {seed}, life {life}: not a prefix");
            known = found;
        }
    }
}

/// A changed bit anywhere but in the closing mark is reported, with the file and a place not behind it.
#[test]
fn corruption_is_never_taken_for_a_torn_tail() {
    let disk = Power::default();
    let batches = some_batches(24, &mut ChaCha8Rng::seed_from_u64(11));
    append(&disk, &batches);
    let all = contents(&disk).expect("whole");
    let (mut appender, _) = log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())).expect("whole");
    appender.mark().expect("a whole disk");
    let files = disk.files();
    let before_mark = files.last().expect("a segment").1.len() - FRAME;
    for (f, (name, bytes)) in files.iter().enumerate() {
        for byte in 0..bytes.len() {
            let mut changed = files.clone();
            changed[f].1[byte] ^= 1 << (byte % 8);
            match contents(&Power::with(&changed)) {
                Err(JournalError::Corrupt { file, offset, .. }) => {
                    assert!(file.ends_with(name), "names {}, not {name}", file.display());
                    assert!(offset <= byte as u64);
                }
                Ok(found) if f + 1 == files.len() && byte >= before_mark => assert_eq!(found, all),
                other => panic!("byte {byte} of {name}: {other:?}"),
            }
        }
    }
    let mut missing = files.clone();
    missing.remove(1);
    assert!(
        matches!(contents(&Power::with(&missing)), Err(JournalError::Corrupt { .. })),
        "a segment is missing"
    );
}

/// A process that dies leaves a segment with room behind its records; the next goes on in it, and closing gives it back.
#[test]
fn room_that_was_made_is_used_and_given_back() {
    let disk = Power::default();
    let batches = vec![vec![vec![7; 50]]; 3];
    append(&disk, &batches);
    let (name, bytes) = disk.files().pop().expect("a segment");
    assert!(bytes.ends_with(&[0; 40]), "there is room behind the records");
    let (mut appender, torn) =
        log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())).expect("whole");
    assert_eq!(torn, None, "zeros are no torn record");
    appender.append([&b"x"[..]].into_iter(), &mut Vec::new()).expect("a whole disk");
    let (same, grown) = disk.files().pop().expect("a segment");
    assert_eq!((same, grown.len()), (name, bytes.len()), "it was written over");
    appender.mark().expect("a whole disk");
    let (_, last) = disk.files().pop().expect("a segment");
    assert!(!last.ends_with(&[0; 40]), "the room was given back");
    assert_eq!(contents(&disk).expect("whole"), [batches.concat(), vec![b"x".to_vec()]].concat());
}

/// A batch that is longer than the room there is grows the file by whole pages, and no room is made for more of the kind.
#[test]
fn a_long_batch_makes_its_own_room() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), 4000, &mut |_, _, _| Ok(())).expect("empty");
    let mut sizes = Vec::new();
    for bytes in [700, 900, 10] {
        appender.append([&vec![7; bytes][..]].into_iter(), &mut Vec::new()).expect("a whole disk");
        appender.make_room();
        let (_, segment) = disk.files().pop().expect("a segment");
        sizes.push((segment.len(), segment.iter().rev().take_while(|byte| **byte == 0).count()));
    }
    let page = disk.page();
    let [(first, no_room), (second, none_again), (_, room)] = sizes[..] else { panic!("three batches") };
    assert!(first.is_multiple_of(page) && no_room < page, "{first} bytes end in {no_room} zeros");
    assert!(second.is_multiple_of(page) && none_again < page, "{second} bytes end in {none_again} zeros");
    assert!(room > 10 * page, "there is room again for short ones: {room}");
    assert_eq!(contents(&disk).expect("whole").len(), 3);
}

/// A segment that is followed by another does not keep its room.
#[test]
fn a_segment_that_ends_gives_its_room_back() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), 1000, &mut |_, _, _| Ok(())).expect("empty");
    for _ in 0..14 {
        appender.append([&[7; 80][..]].into_iter(), &mut Vec::new()).expect("a whole disk");
        appender.make_room();
    }
    let files = disk.files();
    assert_eq!(files.len(), 2);
    assert!(!files[0].1.ends_with(&[0; 40]) && files[1].1.ends_with(&[0; 40]));
    assert_eq!(contents(&disk).expect("whole").len(), 14);
}

/// On a full disk there is no room to be made: what was begun is given back, and what is left takes records, to the last
/// that fits.
#[test]
fn a_full_disk_takes_records_without_room() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), 4000, &mut |_, _, _| Ok(())).expect("empty");
    let mut write = |bytes: usize| {
        appender.append([&vec![7; bytes][..]].into_iter(), &mut Vec::new())?;
        appender.make_room();
        Ok::<_, JournalError>(())
    };
    disk.fail_after(1200, Fault::Full);
    write(1000).expect("there is as much left");
    let (_, bytes) = disk.files().pop().expect("a segment");
    assert!(!bytes.ends_with(&[0; 40]), "not all of the room could be made");
    write(1000).expect_err("the disk is full");
    assert_eq!(contents(&disk).expect("whole").len(), 1);
}

/// Names of the spares of a disk.
fn spares(disk: &Power) -> Vec<String> {
    disk.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".room")).collect()
}

/// Each segment that begins without a spare makes it one more; they are used, made again, and gone in the end.
#[test]
fn as_many_segments_are_made_ahead_as_were_lacking() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())).expect("empty");
    let segment = |appender: &mut log::Appender| {
        let before = disk.files().len();
        for _ in 0..9 {
            appender.append([&[7; 40][..]].into_iter(), &mut Vec::new()).expect("a whole disk");
        }
        disk.files().len() - before
    };
    let rest = |appender: &mut log::Appender| {
        while appender.wants_rest() {
            appender.rest()
        }
    };
    segment(&mut appender);
    assert!(!appender.wants_rest(), "it has its first segment");
    segment(&mut appender);
    segment(&mut appender);
    rest(&mut appender);
    assert_eq!(spares(&disk), ["spare-1.room", "spare-2.room"]);
    assert_eq!(segment(&mut appender), 0, "a spare became a segment");
    let (_, last) =
        disk.files().into_iter().rfind(|(name, _)| name.ends_with(".segment")).expect("a segment");
    assert!(last.len() as u64 > SEGMENT, "it has room to its end");
    appender.append([&[7; 40][..]].into_iter(), &mut Vec::new()).expect("a whole disk");
    let used = disk.used();
    appender.make_room();
    assert_eq!(disk.used(), used, "no room is made where there is");
    rest(&mut appender);
    assert_eq!(spares(&disk), ["spare-3.room", "spare-4.room"]);
    for _ in 0..20 {
        segment(&mut appender);
    }
    rest(&mut appender);
    assert_eq!(spares(&disk).len(), 8, "there is a bound");
    appender.mark().expect("a whole disk");
    assert_eq!(spares(&disk), [""; 0]);
    assert_eq!(contents(&disk).expect("whole").len(), 24 * 9 + 1);
}

/// A process that dies leaves its spares; the next removes them.
#[test]
fn spares_of_another_process_are_removed() {
    let disk = Power::with(&[("spare-1.room".into(), vec![0; 700]), ("spare-7.room".into(), vec![9; 20])]);
    append(&disk, &vec![vec![vec![7; 80]]; 3]);
    assert_eq!(disk.files().len(), 1);
    assert_eq!(contents(&disk).expect("whole").len(), 3);
}

/// Spares are for speed alone: where somebody removed one, records go on without it.
#[test]
fn a_spare_that_is_gone_is_passed_over() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())).expect("empty");
    let write = |appender: &mut log::Appender| {
        appender.append([&[7; 600][..]].into_iter(), &mut Vec::new()).expect("a whole disk");
    };
    (0..3).for_each(|_| write(&mut appender));
    while appender.wants_rest() {
        appender.rest();
    }
    assert_eq!(spares(&disk), ["spare-1.room", "spare-2.room"]);
    disk.remove("spare-1.room").expect("it is there");
    write(&mut appender);
    assert_eq!(spares(&disk), [""; 0], "the other one was taken");
    while appender.wants_rest() {
        appender.rest();
    }
    spares(&disk).iter().for_each(|name| disk.remove(name).expect("it is there"));
    write(&mut appender);
    assert_eq!(contents(&disk).expect("whole").len(), 5);
}

/// On a full disk there are no spares to be made: what was begun is given back, and records go on.
#[test]
fn a_full_disk_takes_records_without_spares() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), SEGMENT, &mut |_, _, _| Ok(())).expect("empty");
    let write = |appender: &mut log::Appender| {
        appender.append([&[7; 500][..]].into_iter(), &mut Vec::new()).expect("there is as much left");
    };
    (0..4).for_each(|_| write(&mut appender));
    assert!(appender.wants_rest());
    disk.fail_after(700, Fault::Full);
    while appender.wants_rest() {
        appender.rest();
    }
    assert_eq!(spares(&disk), [""; 0]);
    write(&mut appender);
    assert_eq!(contents(&disk).expect("whole").len(), 5);
}

/// Files of a real folder are filled whatever their length, past the system's cache and through it.
#[test]
fn a_file_is_filled_with_zeros_from_any_byte_to_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Folder::new(folder.path());
    for (from, to) in
        [(0, 0), (5, 9), (5, 4096), (5, 4097), (4096, 8192), (4095, 3 << 20), (10, (2 << 20) + 7)]
    {
        let file = disk.create("file").expect("a folder");
        file.write(&vec![7; from as usize], 0).expect("a file");
        file.fill(from, to).expect("a file");
        let mut bytes = vec![1; to.max(from) as usize];
        assert_eq!(file.size().expect("a file"), bytes.len() as u64, "{from} to {to}");
        file.read(&mut bytes, 0).expect("a file");
        let (sevens, zeros) = bytes.split_at(from as usize);
        assert!(sevens.iter().all(|b| *b == 7) && zeros.iter().all(|b| *b == 0), "{from} to {to}");
        disk.remove("file").expect("a folder");
    }
}

/// A record that was written behind a read, whose successor the read did see, is no gap.
#[test]
fn what_was_written_behind_a_read_is_read_again() {
    let disk = Power::default();
    let (mut appender, _) = log::open(Arc::new(disk.clone()), 1 << 20, &mut |_, _, _| Ok(())).expect("empty");
    let mut places = Vec::new();
    for record in [b"first ", b"second", b"third "] {
        appender.append([&record[..]].into_iter(), &mut places).expect("a whole disk");
    }
    for place in &places[..2] {
        let start = place.offset() as usize;
        disk.write_behind_a_read(start..start + FRAME + 6);
        assert_eq!(contents(&disk).expect("no gap").len(), 3);
    }
    // The last has none that says it was durable: the read came before it.
    let start = places[2].offset() as usize;
    disk.write_behind_a_read(start..start + FRAME + 6);
    let mut seen = 0;
    scan(&disk, &mut |_, _, _| {
        seen += 1;
        Ok(())
    })
    .expect("a prefix");
    assert_eq!(seen, 2);
}

/// Whoever reads while a server writes sees a prefix, and never less than before.
#[test]
fn reading_beside_a_writer_sees_a_prefix() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = || Arc::new(Folder::new(folder.path()));
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut appender, _) =
                log::open(disk(), 1 << 20, &mut |_, _, _| Ok(())).expect("an empty folder");
            for i in 0..2_000_u32 {
                let record = vec![i as u8; 3_000];
                // Now and then a long batch, which is written in another way.
                let count = if i % 20 == 0 { 60 } else { 3 };
                appender
                    .append(std::iter::repeat_n(&record[..], count), &mut Vec::new())
                    .expect("a whole disk");
                appender.make_room();
            }
            appender.next() - 1
        });
        let mut before = 0;
        while !writer.is_finished() {
            let mut count = 0;
            scan(&*disk(), &mut |_, _, _| {
                count += 1;
                Ok(())
            })
            .expect("a prefix");
            assert!(count >= before, "what was there stays");
            before = count;
        }
        writer.join().expect("the writer writes")
    });
    assert_eq!(written, 11_700);
}

fn entry(request_id: &str) -> JournalEntry {
    JournalEntry { member: "001".into(), request_id: request_id.into(), ..Default::default() }
}

/// Submits, and gives where the answer will come.
fn submit(journal: &Journal, request_id: &str) -> mpsc::Receiver<Result<u64, Arc<JournalError>>> {
    let (sender, receiver) = mpsc::channel();
    journal.submit_entry(&entry(request_id), move |result| sender.send(result).expect("the test listens"));
    receiver
}

fn open(disk: &Power) -> Journal {
    Journal::open_on(Arc::new(disk.clone()), SEGMENT).expect("a whole disk")
}

#[test]
fn entries_are_found_by_key_also_after_a_restart() {
    let disk = Power::default();
    for life in 0..3 {
        let journal = open(&disk);
        assert_eq!(journal.tip().number, life * 20);
        for i in 0..20 {
            let number = submit(&journal, &format!("r{life}-{i}")).recv().expect("an answer");
            assert_eq!(number.expect("durable"), life * 20 + i + 1);
            assert_eq!(journal.tip().number, life * 20 + i + 1);
        }
        for other in 0..=life {
            let found = journal.find("001", &format!("r{other}-7")).expect("a whole disk").expect("found");
            let expected = entry(&format!("r{other}-7")).encode_to_vec();
            assert_eq!((found.0, found.1.encode_to_vec()), (other * 20 + 8, expected));
        }
        assert!(journal.may_hold(journal.hash("001", "r0-7")));
        assert!(!journal.may_hold(journal.hash("002", "r0-7")));
        assert_eq!(journal.find("001", "never").expect("a whole disk"), None);
        journal.close().expect("closes in order");
        let late = submit(&journal, "late").recv().expect("an answer");
        assert!(matches!(&*late.expect_err("closed"), JournalError::Closed(_)));
    }
}

#[test]
fn who_panics_when_told_keeps_nobody_waiting() {
    let journal = open(&Power::default());
    journal.submit_entry(&entry("panics"), |_| panic!("the test wants one that panics"));
    let number = submit(&journal, "waits").recv().expect("an answer").expect("durable");
    assert_eq!((number, journal.is_open()), (2, true));
    journal.close().expect("closes in order");
}

/// While one sync runs everything else queues up, and shares the next.
#[test]
fn one_sync_serves_everything_that_waited() {
    let disk = Power::default();
    let journal = Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk");
    submit(&journal, "starts the segment").recv().expect("an answer").expect("durable");
    let before = disk.syncs();
    disk.hold_syncs(true);
    let first = submit(&journal, "held");
    disk.wait_for_held_sync();
    let rest: Vec<_> = (0..500).map(|i| submit(&journal, &i.to_string())).collect();
    assert!(first.try_recv().is_err(), "nothing is reported durable before its sync");
    disk.hold_syncs(false);
    for (i, answer) in std::iter::once(first).chain(rest).enumerate() {
        assert_eq!(answer.recv().expect("an answer").expect("durable"), i as u64 + 2);
    }
    assert_eq!(disk.syncs() - before, 2);
}

/// Records that are handed over together have numbers that follow each other, whoever else writes.
#[test]
fn records_of_one_order_stay_together() {
    let disk = Power::default();
    let journal = open(&disk);
    disk.hold_syncs(true);
    let (sender, receiver) = mpsc::channel();
    for order in 0..10 {
        let record = |i| {
            let id = format!("r{order}-{i}");
            let payload = entry(&id).encode_to_vec().into();
            Record::new(journal.hash("001", &id), payload).expect("a short one")
        };
        let sender = sender.clone();
        journal.submit((0..5).map(record).collect(), move |first| {
            sender.send(first.expect("durable")).expect("the test listens");
        });
    }
    disk.hold_syncs(false);
    for (order, first) in receiver.iter().take(10).enumerate() {
        assert_eq!(first, order as u64 * 5 + 1);
        let (number, _) = journal.find("001", &format!("r{order}-4")).expect("a whole disk").expect("found");
        assert_eq!(number, first + 4);
    }
}

#[test]
fn a_full_disk_fails_everything_that_waits_and_all_that_follows() {
    let disk = Power::default();
    let journal = open(&disk);
    submit(&journal, "kept").recv().expect("an answer").expect("durable");
    disk.fail_after(5, Fault::Full);
    disk.hold_syncs(true);
    let waiting: Vec<_> = (0..10).map(|i| submit(&journal, &i.to_string())).collect();
    disk.hold_syncs(false);
    for answer in waiting {
        let e = answer.recv().expect("an answer").expect_err("the disk is full");
        assert!(e.to_string().contains("cannot write memory/00000000000000000001.segment"), "{e}");
    }
    assert_eq!(journal.tip().number, 1);
    disk.restart_process();
    assert!(submit(&journal, "later").recv().expect("an answer").is_err(), "only a restart mends it");
    assert!(journal.close().is_err());
    let journal = open(&disk);
    assert_eq!(submit(&journal, "again").recv().expect("an answer").expect("durable"), 2);
}

#[test]
fn a_record_that_is_too_long_is_refused_alone() {
    let journal = open(&Power::default());
    let long = JournalEntry { inputs: vec![0; super::frame::PAYLOAD_MAX + 1], ..entry("long") };
    let (sender, receiver) = mpsc::channel();
    journal.submit_entry(&long, move |result| sender.send(result).expect("the test listens"));
    assert!(receiver.recv().expect("an answer").is_err());
    submit(&journal, "short").recv().expect("an answer").expect("durable");
}

#[test]
fn a_folder_has_one_writer_and_any_number_of_readers() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(folder.path()).expect("a new journal");
    submit(&journal, "r").recv().expect("an answer").expect("durable");
    let second = Journal::open(folder.path()).map(drop).expect_err("in use");
    assert!(matches!(second, JournalError::InUse { .. }));
    let mut seen = Vec::new();
    super::read(folder.path(), &mut |number, entry, _| {
        seen.push((number, entry.request_id));
        Ok(())
    })
    .expect("readable while it is open");
    assert_eq!(seen, [(1, "r".to_owned())]);
    drop(journal);
    Journal::open(folder.path()).expect("free again");
}
