// What libraries with the names of the schema say of the configuration, in the words of contract.mjs.

export function readConfig(config) {
  const dcOptions = config.dc_options.map(({ id, ip_address: ipAddress, port }) => ({ id, ipAddress, port }))
  return { thisDc: config.this_dc, expires: config.expires, dcOptions }
}
