//! Layer 57, as far as npm `telegram-mtproto` goes with it: where it is, and signing in
//! (20-telegram-api-service §4.5). Everything else is another world, with ids of 32 bits.

use std::sync::{Arc, LazyLock};

use chappe_proto::rpc::RpcError;
use chappe_tl::Bytes;
use chappe_tl::history::History;
use chappe_tl::transcode::{Rules, Shapes, TranscodeError, Transcoder};

/// The number of the layer.
pub(super) const LAYER: i32 = 57;

/// What of the layer is spoken, as it differs from the newest.
const SCHEMA: &str = "\
// LAYER 57
---types---
config#9a6b2e2a flags:# date:int expires:int test_mode:Bool this_dc:int dc_options:Vector<DcOption> chat_size_max:int megagroup_size_max:int forwarded_count_max:int online_update_period_ms:int offline_blur_timeout_ms:int offline_idle_timeout_ms:int online_cloud_timeout_ms:int notify_cloud_delay_ms:int notify_default_delay_ms:int chat_big_size:int push_chat_period_ms:int push_chat_limit:int saved_gifs_limit:int edit_time_limit:int rating_e_decay:int stickers_recent_limit:int tmp_sessions:flags.0?int disabled_features:Vector<DisabledFeature> = Config;
dcOption#05d8c6cc flags:# ipv6:flags.0?true media_only:flags.1?true tcpo_only:flags.2?true id:int ip_address:string port:int = DcOption;
disabledFeature#ae636f24 feature:string description:string = DisabledFeature;
auth.authorization#cd050916 flags:# tmp_sessions:flags.0?int user:User = auth.Authorization;
user#d10d979a flags:# self:flags.10?true contact:flags.11?true mutual_contact:flags.12?true deleted:flags.13?true bot:flags.14?true bot_chat_history:flags.15?true bot_nochats:flags.16?true verified:flags.17?true restricted:flags.18?true min:flags.20?true bot_inline_geo:flags.21?true id:int access_hash:flags.0?long first_name:flags.1?string last_name:flags.2?string username:flags.3?string phone:flags.4?string photo:flags.5?UserProfilePhoto status:flags.6?UserStatus bot_info_version:flags.14?int restriction_reason:flags.18?string bot_inline_placeholder:flags.19?string = User;
userStatusRecently#e26f42f1 = UserStatus;
userStatusLastWeek#07bf09fc = UserStatus;
userStatusLastMonth#77ebc742 = UserStatus;
-userProfilePhoto
-auth.authorizationSignUpRequired
-auth.codeTypeFragmentSms
-auth.codeTypeMissedCall
-auth.sentCodePaymentRequired
-auth.sentCodeSuccess
-auth.sentCodeTypeEmailCode
-auth.sentCodeTypeFirebaseSms
-auth.sentCodeTypeFragmentSms
-auth.sentCodeTypeMissedCall
-auth.sentCodeTypeSetUpEmailRequired
-auth.sentCodeTypeSmsPhrase
-auth.sentCodeTypeSmsWord
---functions---
auth.sendCode#86aef0ec flags:# allow_flashcall:flags.0?true phone_number:string current_number:flags.0?Bool api_id:int api_hash:string = auth.SentCode;
auth.signIn#bcd51581 phone_number:string phone_code_hash:string phone_code:string = auth.Authorization;
auth.signUp#1b067634 phone_number:string phone_code_hash:string phone_code:string first_name:string last_name:string = auth.Authorization;
";

/// What may be called, by the ids of that layer.
const CALLS: [u32; 6] =
    [0x86ae_f0ec, 0xbcd5_1581, 0x1b06_7634, 0xc4f9_186b, 0x1fb3_3026, 0xedd4_882a];

static RULES: Rules = Rules {
    substitutes: &[
        ("CodeSettings", "codeSettings"),
        ("UserProfilePhoto", "userProfilePhotoEmpty"),
        ("auth.SentCodeType", "auth.sentCodeTypeSms"),
    ],
    fallbacks: &[],
    projections: &[],
    wraps: &[],
    nestings: &[],
    aliases: &[],
    gathers: &[],
};

static SPOKEN: LazyLock<Spoken> = LazyLock::new(|| {
    let history =
        History::parse(chappe_api::SCHEMA, &[SCHEMA]).expect("a test reads the same texts");
    let shapes = Arc::new(Shapes::new(&history).expect("a test reads the same texts"));
    Spoken {
        lifting: Transcoder::lifting_with(&history, &shapes, &RULES),
        lowering: Transcoder::lowering_with(&history, &shapes, LAYER.cast_unsigned(), &RULES),
    }
});

struct Spoken {
    lifting: Transcoder,
    lowering: Transcoder,
}

/// A call as the newest layer has it.
pub(super) fn lift(id: u32, call: &Bytes) -> Result<Bytes, RpcError> {
    if !CALLS.contains(&id) {
        return Err(RpcError::bad_request("CONNECTION_LAYER_INVALID"));
    }
    SPOKEN.lifting.call(call).map_err(|_| RpcError::bad_request("INPUT_FETCH_ERROR"))
}

/// The answer to the function that was called by `id`.
pub(super) fn lower(id: u32, answer: &Bytes) -> Result<Bytes, RpcError> {
    SPOKEN.lowering.answer(id, answer).map_err(|fault| match fault {
        TranscodeError::Inexpressible { name } if name == "auth.authorizationSignUpRequired" => {
            RpcError::bad_request("PHONE_NUMBER_UNOCCUPIED")
        }
        // Its ids of users have 32 bits.
        _ => RpcError::bad_request("UPDATE_APP_TO_LOGIN"),
    })
}
