//! What a temporary key may call before it is bound.

use chappe_api::functions::help::{GetAppConfig, GetConfig, GetNearestDc};
use chappe_api::functions::langpack::GetLanguages;
use chappe_api::functions::{InitConnection, InvokeWithLayer, InvokeWithoutUpdates};
use chappe_tl::{Encode, Raw};

use crate::client::Client;

/// Rules:  PFS-04, SEC-38: `help.getConfig` and `help.getNearestDc`, in any wrapper; whatever else
///         gets 401 `AUTH_KEY_PERM_EMPTY`, also a function that is answered otherwise.
/// Source: 07-pfs §1.
#[tokio::test]
async fn unbound_key_may_ask_for_the_configuration() {
    let (_home, mut client) = Client::temporary().await;
    let open = [raw(&GetConfig {}), raw(&GetNearestDc {})];
    let closed = [
        raw(&GetAppConfig { hash: 0 }),
        raw(&GetLanguages { lang_pack: "tdesktop".into() }),
        raw(&chappe_api::functions::updates::GetState {}),
    ];
    for (call, is_open) in
        open.iter().map(|call| (call, true)).chain(closed.iter().map(|call| (call, false)))
    {
        let wrapped = [
            call.clone(),
            raw(&InvokeWithLayer { layer: 214, query: call.clone() }),
            initialised(call),
            raw(&InvokeWithoutUpdates { query: call.clone() }),
        ];
        for call in wrapped {
            match client.call(&call).await {
                Ok(_) => assert!(is_open, "{call:?}"),
                Err(error) => {
                    assert!(!is_open, "{call:?}");
                    assert_eq!((error.code, &*error.message), (401, "AUTH_KEY_PERM_EMPTY"));
                }
            }
        }
    }
}

fn initialised(call: &Raw) -> Raw {
    let query = InitConnection {
        api_id: 1,
        device_model: "a".into(),
        system_version: "b".into(),
        app_version: "c".into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: call.clone(),
    };
    raw(&InvokeWithLayer { layer: 214, query })
}

fn raw(call: &impl Encode) -> Raw {
    Raw(chappe_tl::to_bytes(call).unwrap())
}
