//! What the bank keeps of a customer's person: master data, devices, and the lists he is on.

use std::io;

use crate::{
    bank::Bank,
    block,
    calendar::{Day, Time},
    codes,
    company::company_id,
    dice::{Topic, probability},
    events::Event,
    identity,
    person::{Living, Person},
    planted::Plant,
    world::World,
};

/// The customer's master data.
pub fn write_customer(person: &Person, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Contact);
    let educated = match person.living {
        Living::CivilServant => 0.9,
        Living::Farmer => 0.08,
        _ => 0.4,
    };
    let education = match dice.chance(educated - 0.1 * person.risk) {
        true => dice.pick(&["bachelor", "college", "college", "master"]),
        false => dice.pick(&["high_school", "middle_school", "middle_school", "primary"]),
    };
    let member = person.member;
    let employer = person.employer.map_or(String::new(), |e| company_id(world, member, e));
    bank.customers
        .text(&world.members[member].code)
        .text(&person.id)
        .text(&person.name)
        .text(&person.id_number)
        .text(&person.mobile)
        .text(&person.address)
        .text(person.county.code)
        .day(person.birth)
        .text(if person.female { "F" } else { "M" })
        .text(person.living.code())
        .text(education)
        .text(if person.age > 28 && dice.chance(0.8) { "married" } else { "single" })
        .text(&employer)
        .text(&account_manager(world, person))
        .day(person.opened)
        .known(person.opened.at(61_200), &mut bank.planted)?;

    if let Some(ring) = person.ring {
        bank.planted.note(Plant {
            kind: "fraud_ring",
            member: &world.members[member].code,
            table: "customers",
            key: &person.id,
            cluster: &format!("ring-{ring}"),
            detail: "shares device, mobile numbers and address, and applies in the same days",
        })?;
    }
    if block::circle_next(world, member, person.position).is_some() {
        bank.planted.note(Plant {
            kind: "guarantee_circle",
            member: &world.members[member].code,
            table: "customers",
            key: &person.id,
            cluster: &format!("circle-{}", person.position / block::BLOCK),
            detail: "guarantees a loan of the next in a circle of four",
        })?;
    }
    Ok(())
}

/// The customer's device, and what he used it for besides applying.
pub fn write_devices(person: &Person, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Contact);
    // Skip what `write_customer` draws, so that the two do not move together.
    (0..4).for_each(|_| _ = dice.unit());
    let in_ring = person.ring.is_some();
    let is_owner = match in_ring {
        true => person.position.is_multiple_of(block::BLOCK),
        false => person.device.ends_with(&format!("{:07}", person.position)),
    };
    let window = world.applying_from.0;
    if is_owner {
        let first = match in_ring {
            true => ring_day(world, person) + -dice.small(5, 20),
            false => Day(dice.small(person.opened.0.max(world.start.0), window.max(person.opened.0))),
        };
        let faked = if in_ring { 0.5 } else { 0.004 };
        write_device(
            person.member,
            &person.device,
            dice.chance(faked),
            dice.chance(2.0 * faked),
            first,
            world,
            bank,
        )?;
    }
    for _ in 0..dice.poisson(3.0) {
        let at = match in_ring {
            true => (ring_day(world, person) + -dice.small(0, 4)).at(dice.int(0, 86_399) as u32),
            false => Day(dice.small(window, world.end.0)).at(dice.int(25_000, 84_000) as u32),
        };
        let region = if dice.chance(0.04) { dice.pick(&codes::ELSEWHERE) } else { person.county.code };
        write_use(
            person,
            &person.device,
            at,
            dice.pick(&["login", "login", "transfer"]),
            region,
            world,
            bank,
        )?;
    }
    Ok(())
}

/// A device that the bank has seen.
pub fn write_device(
    member: usize,
    device: &str,
    emulator: bool,
    rooted: bool,
    first: Day,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let os = ["android", "android", "ios", "harmony"][device.bytes().map(usize::from).sum::<usize>() % 4];
    bank.devices
        .text(&world.members[member].code)
        .text(device)
        .text(if emulator { "android" } else { os })
        .flag(emulator)
        .flag(rooted)
        .time(first.at(30_000))
        .known(first.at(30_000), &mut bank.planted)
}

/// One use of a device by a customer.
pub fn write_use(
    person: &Person,
    device: &str,
    at: Time,
    action: &str,
    region: &str,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    if at.day() < person.opened {
        return Ok(());
    }
    let id = format!("u{:09}", bank.device_use.rows() + 1);
    bank.device_use
        .text(&world.members[person.member].code)
        .text(&id)
        .text(device)
        .text(&person.id)
        .time(at)
        .text(action)
        .text(region)
        .known(at, &mut bank.planted)
}

/// The day around which a ring applies.
pub fn ring_day(world: &World, person: &Person) -> Day {
    let head = person.position / block::BLOCK * block::BLOCK;
    let mut dice = world.dice(Topic::Block, person.member, head.wrapping_add(1 << 31));
    Day(dice.small(world.applying_from.0 + 20, (world.end.0 - 5).max(world.applying_from.0 + 20)))
}

/// Lists: name, log odds of being on it at average risk, their slope in risk, source, reason.
const LISTS: [(&str, f64, f64, &str, &str); 6] = [
    ("aml_black", -6.6, 0.3, "反洗钱系统", "涉嫌洗钱名单 listed by AML screening"),
    ("credit_black", -4.9, 0.9, "信贷系统", "恶意逃废债 evaded debts before"),
    ("online_lending_black", -5.1, 0.9, "网贷平台", "网贷逾期核销 online loan charged off"),
    ("customer_black", -5.6, 0.6, "客户信息系统", "身份资料虚假 false identity papers"),
    ("grey", -3.7, 0.7, "风险平台", "关注客户 under observation"),
    ("trusted", -3.0, -0.5, "网点", "临柜核验 verified in person at a branch"),
];

/// What an entry of a list matches.
enum Who<'a> {
    Customer(&'a str),
    IdNumber(&'a str),
    Device(&'a str),
}

/// An entry of a list.
struct Entry<'a> {
    list: &'static str,
    who: Who<'a>,
    /// The customer that it is about, of those that are about one.
    of: Option<&'a str>,
    reason: &'static str,
    source: &'static str,
    from: Day,
    days: i32,
}

impl Entry<'_> {
    fn write(&self, member: usize, world: &World, bank: &mut Bank) -> io::Result<()> {
        let id = format!("b{:08}", bank.list_entries.rows() + 1);
        let (mut customer, mut number, mut device) = ("", "", "");
        match self.who {
            Who::Customer(id) => customer = id,
            Who::IdNumber(id) => number = id,
            Who::Device(id) => device = id,
        }
        bank.list_entries
            .text(&world.members[member].code)
            .text(&id)
            .text(self.list)
            .text(customer)
            .none()
            .text(number)
            .text(device)
            .text(self.reason)
            .text(self.source)
            .day(self.from)
            .day(self.from + self.days)
            .known(self.from.at(28_800), &mut bank.planted)?;

        let Some(customer) = self.of else { return Ok(()) };
        for (change, on) in [("added", self.from), ("removed", self.from + self.days)] {
            let event = Event {
                kind: "list_change",
                id: &format!("{id}-{change}"),
                member: &world.members[member].code,
                customer,
                happened: on.at(28_800),
                known: on.at(28_800),
            };
            bank.events.write(&event, |body| {
                let reason = if change == "added" { self.reason } else { "到期移出 ran out" };
                body.text("list", self.list).text("change", change).text("reason", reason);
            })?;
        }
        Ok(())
    }
}

/// Three lists match the identity number, so that they also know people who are no customers.
fn by_number(list: &str) -> bool {
    matches!(list, "aml_black" | "credit_black" | "online_lending_black")
}

/// The lists that a customer (and, of a ring that was found out, its device) is on.
pub fn write_lists(person: &Person, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Lists);
    for (list, at_zero, slope, source, reason) in LISTS {
        let listed = dice.chance(probability(at_zero + slope * person.risk));
        let from = world.start + dice.small(-200, world.end - world.start);
        // Some entries have run out: a list is not for life.
        let days = if dice.chance(0.15) { dice.small(30, 200) } else { 1826 };
        if listed {
            let who = match by_number(list) {
                true => Who::IdNumber(&person.id_number),
                false => Who::Customer(&person.id),
            };
            Entry { list, who, of: Some(&person.id), reason, source, from, days }.write(
                person.member,
                world,
                bank,
            )?;
        }
    }
    if person.ring.is_some() && person.position.is_multiple_of(block::BLOCK) && dice.chance(0.5) {
        Entry {
            list: "device_black",
            who: Who::Device(&person.device),
            of: None,
            reason: "团伙欺诈设备 device of a fraud ring",
            source: "反欺诈团队",
            from: ring_day(world, person) + dice.small(2, 25),
            days: 1826,
        }
        .write(person.member, world, bank)?;
    }
    Ok(())
}

/// Strangers on a member's lists: people who are not, or no longer, its customers. No list is ever empty.
pub fn write_strangers(member: usize, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = world.dice(Topic::Lists, member, 1 << 31);
    let device = ("device_black", 0.0, 0.0, "反欺诈团队", "团伙欺诈设备 device of a fraud ring");
    for (list, _, _, source, reason) in LISTS.into_iter().chain([device]) {
        for k in 0..3 {
            let birth = world.end + -dice.small(8_000, 25_000);
            let elsewhere = dice.pick(&codes::ELSEWHERE);
            let number = identity::identity_number(&mut dice, elsewhere, birth, k == 0);
            let old = format!(
                "{}{}9{k:06}",
                if list == "device_black" { 'd' } else { 'c' },
                world.members[member].code
            );
            let who = match list {
                "device_black" => Who::Device(&old),
                _ if by_number(list) => Who::IdNumber(&number),
                _ => Who::Customer(&old),
            };
            let from = world.start + dice.small(-200, 0);
            Entry { list, who, of: None, reason, source, from, days: 1826 }.write(member, world, bank)?;
        }
    }
    Ok(())
}

/// Customers of an account manager.
const CUSTOMERS_PER_MANAGER: u32 = 40;

/// Of so many customers one has no account manager: whoever had him left.
const UNASSIGNED_EVERY: u32 = 53;

/// Neighbours in the files have the same one; empty: nobody.
fn account_manager(world: &World, person: &Person) -> String {
    if person.position % UNASSIGNED_EVERY == UNASSIGNED_EVERY - 1 {
        return String::new();
    }
    let number = person.position / CUSTOMERS_PER_MANAGER + 1;
    format!("m{}{number:03}", world.members[person.member].code)
}
