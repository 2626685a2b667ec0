// npm's oauth4webapi: each request and each check of an answer by itself.
import * as oauth from 'oauth4webapi'
import { apps, ask, callback, refusal, run, server } from './flow.mjs'

const loopback = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(server)
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

async function discover(algorithm = 'oauth2') {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...loopback })
  return oauth.processDiscoveryResponse(issuer, response)
}

function authentication(client) {
  return client.client_secret ? oauth.ClientSecretBasic(client.client_secret) : oauth.None()
}

/** Build an authorization request, have the person answer it, and check what came back. */
async function authorize(as, client, { what = 'agree', redirect_uri = callback, ...asked }) {
  const state = oauth.generateRandomState()
  const code_verifier = oauth.generateRandomCodeVerifier()
  const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier)
  const address = new URL(as.authorization_endpoint)
  address.search = new URLSearchParams({
    client_id: client.client_id, redirect_uri, response_type: 'code', state, code_challenge,
    code_challenge_method: 'S256', ...asked,
  })
  const cameBack = new URL(await ask(what, address.href))
  // State, issuer (RFC 9207) and error are judged here.
  const answer = oauth.validateAuthResponse(as, client, cameBack, state)
  return { answer, code_verifier }
}

/** Go through the whole flow, and return the token response with its checked id_token claims. */
async function signIn(as, client, asked) {
  const redirect_uri = asked.redirect_uri ?? callback
  const { answer, code_verifier } = await authorize(as, client, asked)
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, authentication(client), answer, redirect_uri, code_verifier, loopback,
  )
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
    expectedNonce: asked.nonce, requireIdToken: asked.nonce !== undefined,
  })
  if (asked.nonce) {
    await oauth.validateApplicationLevelSignature(as, response, loopback)
  }
  return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens) }
}

async function call(token, path, method = 'GET', body = undefined) {
  const headers = new Headers(body ? { 'content-type': 'application/json' } : {})
  const url = new URL(path, server)
  return oauth.protectedResourceRequest(
    token, method, url, headers, body && JSON.stringify(body), loopback,
  )
}

async function introspect(as, client, token) {
  const own = authentication(client)
  const response = await oauth.introspectionRequest(as, client, own, token, loopback)
  return oauth.processIntrospectionResponse(as, client, response)
}

async function getClientCredentials(as, client, own, parameters = {}) {
  const response = await oauth.clientCredentialsGrantRequest(as, client, own, parameters, loopback)
  return oauth.processClientCredentialsResponse(as, client, response)
}

const flows = {
  async discovery() {
    return { openid: await discover('oidc'), oauth: await discover('oauth2') }
  },

  async resource_metadata() {
    const found = []
    for (const path of ['', '/api/v1']) {
      const resource = new URL(`${server}${path}`)
      const response = await oauth.resourceDiscoveryRequest(resource, loopback)
      found.push(await oauth.processResourceDiscoveryResponse(resource, response))
    }
    return found
  },

  async code() {
    const as = await discover('oidc')
    const client = apps.web
    const own = authentication(client)
    const nonce = oauth.generateRandomNonce()
    const scope = 'openid profile email pets:read'
    const { tokens, claims } = await signIn(as, client, { scope, nonce })

    const info = await oauth.userInfoRequest(as, client, tokens.access_token, loopback)
    const userinfo = await oauth.processUserInfoResponse(as, client, claims.sub, info)
    const me = await call(tokens.access_token, '/api/v1/me/')

    const response = await oauth.refreshTokenGrantRequest(
      as, client, own, tokens.refresh_token, loopback,
    )
    const renewed = await oauth.processRefreshTokenResponse(as, client, response)

    const before = await introspect(as, client, renewed.access_token)
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, own, renewed.refresh_token, loopback),
    )
    const after = await introspect(as, client, renewed.access_token)
    const replayed = await refusal(
      oauth.refreshTokenGrantRequest(as, client, own, renewed.refresh_token, loopback)
        .then((response) => oauth.processRefreshTokenResponse(as, client, response)),
    )
    return {
      scope: tokens.scope, claims, nonce, userinfo, status: me.status, before, after, replayed,
      renewed: renewed.access_token !== tokens.access_token
        && renewed.refresh_token !== tokens.refresh_token,
    }
  },

  async native() {
    const redirect_uri = 'http://127.0.0.1:49153/callback'
    const asked = { scope: 'pets:read', redirect_uri }
    const { tokens } = await signIn(await discover(), apps.native, asked)
    return { scope: tokens.scope, status: (await call(tokens.access_token, '/api/v1/me/')).status }
  },

  async refused() {
    const as = await discover()
    return refusal(authorize(as, apps.web, { scope: 'users:write', what: 'refuse' }))
  },

  async another_issuer() {
    const as = await discover()
    const asked = { scope: 'pets:read', what: 'agree_elsewhere' }
    return refusal(authorize(as, apps.web, asked))
  },

  async client_credentials() {
    const as = await discover()
    const { client_secret } = apps.machine
    const scopes = []
    for (const method of [oauth.ClientSecretBasic, oauth.ClientSecretPost]) {
      const asked = { scope: 'pets:read' }
      const token = await getClientCredentials(as, apps.machine, method(client_secret), asked)
      scopes.push(token.scope)
    }
    const wrong = oauth.ClientSecretBasic('wrong')
    return { scopes, wrong: await refusal(getClientCredentials(as, apps.machine, wrong)) }
  },

  async device() {
    const as = await discover()
    const client = apps.device
    const own = authentication(client)
    const asked = { scope: 'pets:read' }
    const begun = await oauth.deviceAuthorizationRequest(as, client, own, asked, loopback)
    const codes = await oauth.processDeviceAuthorizationResponse(as, client, begun)
    const poll = () =>
      oauth.deviceCodeGrantRequest(as, client, own, codes.device_code, loopback)
        .then((response) => oauth.processDeviceCodeResponse(as, client, response))
    const errors = [(await refusal(poll())).error, (await refusal(poll())).error]
    await ask('let_device_in', codes.verification_uri, codes.user_code)
    const tokens = await poll()
    return { errors, scope: tokens.scope, again: (await refusal(poll())).error }
  },

  async registration() {
    const as = await discover()
    const metadata = {
      client_name: 'A stranger',
      redirect_uris: [callback],
      grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
      scope: 'pets:read',
    }
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, loopback)
    const client = await oauth.processDynamicClientRegistrationResponse(response)
    const { tokens } = await signIn(as, client, { scope: 'pets:read' })
    return { client, scope: tokens.scope, refreshable: tokens.refresh_token !== undefined }
  },

  async resource() {
    const as = await discover()
    const resource = `${server}/api/v1`
    const scope = 'pets:read pets:write'
    const { tokens } = await signIn(as, apps.web, { scope, resource })
    const told = await introspect(as, apps.web, tokens.access_token)
    const elsewhere = { scope, resource: 'https://elsewhere.example/', what: 'visit' }
    return {
      status: (await call(tokens.access_token, '/api/v1/pets/')).status,
      aud: told.aud,
      elsewhere: await refusal(authorize(as, apps.web, elsewhere)),
    }
  },

  async challenge() {
    const as = await discover()
    const unknown = await call('unknown', '/api/v1/me/').catch((error) => error)
    const own = authentication(apps.machine)
    const asked = { scope: 'pets:read' }
    const { access_token } = await getClientCredentials(as, apps.machine, own, asked)
    const body = { name: 'Clementine', species: 'cat' }
    const narrow = await call(access_token, '/api/v1/pets/', 'POST', body).catch((error) => error)
    return {
      unknown: { status: unknown.status, challenges: unknown.cause },
      narrow: { status: narrow.status, challenges: narrow.cause },
    }
  },
}

await run(flows)
