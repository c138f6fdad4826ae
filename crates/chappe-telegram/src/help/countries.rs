//! `help.getCountriesList`: how numbers begin, for whoever fills in a form.

use chappe_api::functions::help::GetCountriesList;
use chappe_api::{ctors, types};
use chappe_proto::rpc::RpcError;

/// Changes with the table below, so that clients fetch it anew.
const HASH: i32 = 1;

/// Code of ISO 3166, name, how numbers begin. `XX` is nobody's: test numbers (ACC-01).
const COUNTRIES: &[(&str, &str, &str)] = &[
    ("AE", "United Arab Emirates", "971"),
    ("AR", "Argentina", "54"),
    ("AT", "Austria", "43"),
    ("AU", "Australia", "61"),
    ("BD", "Bangladesh", "880"),
    ("BE", "Belgium", "32"),
    ("BG", "Bulgaria", "359"),
    ("BR", "Brazil", "55"),
    ("BY", "Belarus", "375"),
    ("CH", "Switzerland", "41"),
    ("CL", "Chile", "56"),
    ("CN", "China", "86"),
    ("CO", "Colombia", "57"),
    ("CZ", "Czech Republic", "420"),
    ("DE", "Germany", "49"),
    ("DK", "Denmark", "45"),
    ("EE", "Estonia", "372"),
    ("EG", "Egypt", "20"),
    ("ES", "Spain", "34"),
    ("ET", "Ethiopia", "251"),
    ("FI", "Finland", "358"),
    ("FR", "France", "33"),
    ("GB", "United Kingdom", "44"),
    ("GR", "Greece", "30"),
    ("HK", "Hong Kong", "852"),
    ("HU", "Hungary", "36"),
    ("ID", "Indonesia", "62"),
    ("IE", "Ireland", "353"),
    ("IL", "Israel", "972"),
    ("IN", "India", "91"),
    ("IQ", "Iraq", "964"),
    ("IR", "Iran", "98"),
    ("IT", "Italy", "39"),
    ("JP", "Japan", "81"),
    ("KE", "Kenya", "254"),
    ("KR", "South Korea", "82"),
    ("LT", "Lithuania", "370"),
    ("LV", "Latvia", "371"),
    ("MA", "Morocco", "212"),
    ("MM", "Myanmar", "95"),
    ("MX", "Mexico", "52"),
    ("MY", "Malaysia", "60"),
    ("NG", "Nigeria", "234"),
    ("NL", "Netherlands", "31"),
    ("NO", "Norway", "47"),
    ("NZ", "New Zealand", "64"),
    ("PE", "Peru", "51"),
    ("PH", "Philippines", "63"),
    ("PK", "Pakistan", "92"),
    ("PL", "Poland", "48"),
    ("PT", "Portugal", "351"),
    ("RO", "Romania", "40"),
    ("RS", "Serbia", "381"),
    ("RU", "Russia", "7"),
    ("SA", "Saudi Arabia", "966"),
    ("SE", "Sweden", "46"),
    ("SG", "Singapore", "65"),
    ("SK", "Slovakia", "421"),
    ("TH", "Thailand", "66"),
    ("TR", "Turkey", "90"),
    ("TW", "Taiwan", "886"),
    ("UA", "Ukraine", "380"),
    ("US", "United States", "1"),
    ("UZ", "Uzbekistan", "998"),
    ("VN", "Vietnam", "84"),
    ("XX", "Test numbers", "999"),
    ("ZA", "South Africa", "27"),
];
/// How test numbers are written after that.
const TEST_PATTERN: &str = "66 X XXXX";

pub(crate) async fn get_countries_list(
    call: GetCountriesList,
) -> Result<types::help::CountriesList, RpcError> {
    if call.hash == HASH {
        return Ok(types::help::CountriesList::CountriesListNotModified);
    }
    let country = |(iso2, name, code): &(&str, &str, &str)| types::help::Country {
        iso2: (*iso2).into(),
        default_name: (*name).into(),
        country_codes: vec![types::help::CountryCode {
            country_code: (*code).into(),
            prefixes: None,
            patterns: (*iso2 == "XX").then(|| vec![TEST_PATTERN.into()]),
        }],
        ..chappe_tl::blank()
    };
    let countries = COUNTRIES.iter().map(country).collect();
    Ok(types::help::CountriesList::CountriesList(ctors::help::CountriesList {
        countries,
        hash: HASH,
    }))
}
