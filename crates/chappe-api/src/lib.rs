//! Telegram's API schema: `schema/api.tl`, its layer and the errors a server gives.
