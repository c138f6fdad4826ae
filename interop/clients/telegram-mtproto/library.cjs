// telegram-mtproto with our server in the place of Telegram's, wherever it runs.

const addresses = require('telegram-mtproto/lib/config-check/dc')
const { MTProto } = require('telegram-mtproto')
const MemoryStorage = require('telegram-mtproto/lib/plugins/memory-storage').default
const schema = require('telegram-mtproto/schema/api-57.json')

/** It announces this layer with every call. */
const LAYER = 57

// The configuration has had these constructors since layer 158, and an answer of an unknown one stops the library.
const CONFIG = [
  `config#cc1a241e flags:# default_p2p_contacts:flags.3?true preload_featured_stickers:flags.4?true
    revoke_pm_inbox:flags.6?true blocked_mode:flags.8?true force_try_ipv6:flags.14?true date:int expires:int
    test_mode:Bool this_dc:int dc_options:Vector<DcOption> dc_txt_domain_name:string chat_size_max:int
    megagroup_size_max:int forwarded_count_max:int online_update_period_ms:int offline_blur_timeout_ms:int
    offline_idle_timeout_ms:int online_cloud_timeout_ms:int notify_cloud_delay_ms:int notify_default_delay_ms:int
    push_chat_period_ms:int push_chat_limit:int edit_time_limit:int revoke_time_limit:int revoke_pm_time_limit:int
    rating_e_decay:int stickers_recent_limit:int channels_read_media_period:int tmp_sessions:flags.0?int
    call_receive_timeout_ms:int call_ring_timeout_ms:int call_connect_timeout_ms:int call_packet_timeout_ms:int
    me_url_prefix:string autoupdate_url_prefix:flags.7?string gif_search_username:flags.9?string
    venue_search_username:flags.10?string img_search_username:flags.11?string static_maps_provider:flags.12?string
    caption_length_max:int message_length_max:int webfile_dc_id:int suggested_lang_code:flags.2?string
    lang_pack_version:flags.2?int base_lang_pack_version:flags.2?int = Config`,
  `dcOption#18b7a10d flags:# ipv6:flags.0?true media_only:flags.1?true tcpo_only:flags.2?true cdn:flags.3?true
    static:flags.4?true this_port_only:flags.5?true id:int ip_address:string port:int secret:flags.10?bytes = DcOption`,
]

/** A client; to call a function of the API is to call it. */
function connect({ dc, key, url }) {
  // No option names an address.
  addresses.default = () => new Map([[dc, url]])
  return MTProto({
    api: { layer: LAYER, api_id: 1 },
    app: { storage: new MemoryStorage(), publicKeys: [{ modulus: key.n, exponent: key.e }] },
    schema: { ...schema, constructors: [...schema.constructors, ...CONFIG.map(constructor)] },
  })
}

/** A line of a schema in the form that the library reads. */
function constructor(line) {
  const [head, ...rest] = line.split(/\s+/)
  const [predicate, id] = head.split('#')
  const params = rest.slice(0, -2).map((param) => {
    const [name, type] = param.split(':')
    return { name, type }
  })
  return { id: String(Number.parseInt(id, 16) | 0), predicate, params, type: rest.at(-1) }
}

module.exports = { LAYER, connect }
