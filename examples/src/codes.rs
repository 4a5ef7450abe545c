//! Codes of the national standards that the bank uses, and its own.

/// A county (GB/T 2260) and a road in it.
#[derive(Clone, Copy, Debug)]
pub struct County {
    pub code: &'static str,
    pub zh: &'static str,
}

macro_rules! counties {
    ($($code:literal $zh:literal),+ $(,)?) => { &[$(County { code: $code, zh: $zh }),+] };
}

/// Counties by prefecture: the first four are the members of the example rulebook.
const PREFECTURES: [&[County]; 14] = [
    counties!["450102" "兴宁区", "450103" "青秀区", "450105" "江南区", "450107" "西乡塘区", "450108" "良庆区", "450110" "武鸣区"],
    counties!["450202" "城中区", "450203" "鱼峰区", "450204" "柳南区", "450205" "柳北区", "450206" "柳江区", "450223" "鹿寨县"],
    counties!["450302" "秀峰区", "450304" "象山区", "450305" "七星区", "450312" "临桂区", "450321" "阳朔县", "450323" "灵川县"],
    counties!["451002" "右江区", "451003" "田阳区", "451022" "田东县", "451024" "德保县", "451026" "那坡县", "451028" "乐业县"],
    counties!["450403" "万秀区", "450405" "长洲区", "450421" "苍梧县"],
    counties!["450502" "海城区", "450503" "银海区", "450521" "合浦县"],
    counties!["450602" "港口区", "450603" "防城区", "450621" "上思县"],
    counties!["450702" "钦南区", "450703" "钦北区", "450721" "灵山县"],
    counties!["450802" "港北区", "450803" "港南区", "450821" "平南县"],
    counties!["450902" "玉州区", "450921" "容县", "450922" "陆川县"],
    counties!["451102" "八步区", "451103" "平桂区", "451121" "昭平县"],
    counties!["451202" "金城江区", "451203" "宜州区", "451221" "南丹县"],
    counties!["451302" "兴宾区", "451321" "忻城县", "451322" "象州县"],
    counties!["451402" "江州区", "451421" "扶绥县", "451422" "宁明县"],
];

/// Where strangers come from: other provinces, for devices and identity numbers.
pub const ELSEWHERE: [&str; 8] =
    ["110105", "310115", "330106", "350203", "420106", "440106", "440305", "530102"];

/// The counties that a member serves.
pub fn counties(member: usize) -> &'static [County] {
    PREFECTURES[member % PREFECTURES.len()]
}

/// An industry of GB/T 4754-2017, by its four levels.
#[derive(Clone, Copy, Debug)]
pub struct Industry {
    pub section: &'static str,
    pub class: &'static str,
    /// Last words of a company's name.
    pub zh: &'static str,
    /// Added to its companies' hidden risk.
    pub risk: f64,
    /// Yearly sales per employee, in CNY.
    pub sales: f64,
}

impl Industry {
    pub fn division(&self) -> &'static str {
        &self.class[..2]
    }
    pub fn group(&self) -> &'static str {
        &self.class[..3]
    }
    /// Offices, schools, hospitals: their people are public servants.
    pub fn is_public(&self) -> bool {
        matches!(self.section, "P" | "Q" | "S")
    }
}

macro_rules! industries {
    ($($weight:literal $section:literal $class:literal $zh:literal $risk:literal $sales:literal),+ $(,)?) => {
        [$(($weight, Industry { section: $section, class: $class, zh: $zh, risk: $risk, sales: $sales })),+]
    };
}

/// Industries with their weights.
pub const INDUSTRIES: [(f64, Industry); 20] = industries![
    8.0 "A" "0153" "柑橘种植专业合作社" 0.1 180_000.0,
    5.0 "A" "0313" "生猪养殖场" 0.5 260_000.0,
    6.0 "C" "1311" "米业有限公司" 0.0 420_000.0,
    4.0 "C" "1340" "糖业有限公司" -0.1 600_000.0,
    5.0 "C" "2110" "木业有限公司" 0.2 300_000.0,
    4.0 "C" "3311" "金属结构有限公司" 0.1 450_000.0,
    5.0 "C" "3670" "汽车零部件有限公司" -0.1 520_000.0,
    6.0 "E" "4710" "建筑工程有限公司" 0.5 380_000.0,
    8.0 "F" "5121" "粮油贸易有限公司" 0.1 900_000.0,
    9.0 "F" "5212" "超市有限公司" 0.1 500_000.0,
    5.0 "F" "5221" "粮油店" 0.1 350_000.0,
    6.0 "G" "5431" "物流有限公司" 0.2 320_000.0,
    4.0 "H" "6121" "酒店管理有限公司" 0.3 160_000.0,
    7.0 "H" "6210" "餐饮有限公司" 0.4 150_000.0,
    4.0 "I" "6513" "软件科技有限公司" -0.2 400_000.0,
    2.0 "K" "7010" "房地产开发有限公司" 0.9 900_000.0,
    3.0 "O" "8010" "家政服务有限公司" 0.2 110_000.0,
    7.0 "P" "8321" "小学" -0.3 0.0,
    6.0 "Q" "8411" "人民医院" -0.3 0.0,
    7.0 "S" "9221" "综合事务管理局" -0.4 0.0,
];

/// Alphabet of the unified social credit code.
const CREDIT_CODE: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// A valid unified social credit code (GB 32100) of a public or private body of a county.
///
/// The check character is worked out here and not by the gate's own code, so that the two hold each
/// other to the standard.
pub fn credit_code(public: bool, county: &str, mut number: u64) -> String {
    let mut code = format!("{}{county}", if public { "11" } else { "91" }).into_bytes();
    for _ in 0..9 {
        code.push(CREDIT_CODE[(number % 31) as usize]);
        number /= 31;
    }
    let mut weight = 1;
    let mut sum = 0;
    for byte in &code {
        let value = CREDIT_CODE.iter().position(|c| c == byte).expect("of the alphabet");
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    code.push(CREDIT_CODE[(31 - sum % 31) % 31]);
    String::from_utf8(code).expect("ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn industries_nest() {
        // First and last division of each section that is used, as GB/T 4754-2017 has them.
        let divisions = [
            ("A", 1, 5),
            ("C", 13, 43),
            ("E", 47, 50),
            ("F", 51, 52),
            ("G", 53, 60),
            ("H", 61, 62),
            ("I", 63, 65),
            ("K", 70, 70),
            ("O", 80, 82),
            ("P", 83, 83),
            ("Q", 84, 85),
            ("S", 91, 96),
        ];
        for (_, industry) in &INDUSTRIES {
            let (_, low, high) = divisions.iter().find(|d| d.0 == industry.section).unwrap();
            assert!((*low..=*high).contains(&industry.division().parse::<i32>().unwrap()), "{industry:?}");
        }
    }

    #[test]
    fn a_published_credit_code_has_this_check_character() {
        // Widely quoted: a body of 17 characters, then 3.
        let body_number = |text: &str| {
            text.bytes()
                .rev()
                .fold(0u64, |n, b| n * 31 + CREDIT_CODE.iter().position(|c| *c == b).unwrap() as u64)
        };
        assert_eq!(credit_code(false, "350100", body_number("M000100Y4")), "91350100M000100Y43");
    }
}
