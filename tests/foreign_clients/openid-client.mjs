// npm's openid-client: the same flows by its high-level functions.
import * as client from 'openid-client'
import { apps, ask, callback, goodbye, refusal, run, server } from './flow.mjs'

const issuer = new URL(server)
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]
const options = { execute }
const machine = { scope: 'pets:read' }

async function configuration({ client_id, client_secret }, own = undefined, algorithm = 'oidc') {
  const authentication = own ?? (client_secret ? undefined : client.None())
  return client.discovery(issuer, client_id, client_secret, authentication, { execute, algorithm })
}

/** Send the person to the server, and return the tokens that what came back was exchanged for. */
async function signIn(config, { what = 'agree', redirect_uri = callback, ...asked }) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const code_challenge = await client.calculatePKCECodeChallenge(pkceCodeVerifier)
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri, state: expectedState, code_challenge, code_challenge_method: 'S256', ...asked,
  })
  const cameBack = new URL(await ask(what, address.href))
  return client.authorizationCodeGrant(config, cameBack, {
    pkceCodeVerifier, expectedState, expectedNonce: asked.nonce,
    maxAge: asked.max_age && Number(asked.max_age),
  })
}

const flows = {
  async discovery() {
    const openid = await configuration(apps.web)
    const oauth = await configuration(apps.web, undefined, 'oauth2')
    return { openid: openid.serverMetadata(), oauth: oauth.serverMetadata() }
  },

  async code() {
    const config = await configuration(apps.web)
    const nonce = client.randomNonce()
    const scope = 'openid profile email pets:read'
    const tokens = await signIn(config, { scope, nonce })
    const claims = tokens.claims()
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    const path = new URL('/api/v1/me/', server)
    const me = await client.fetchProtectedResource(config, tokens.access_token, path, 'GET')

    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
    const before = await client.tokenIntrospection(config, renewed.access_token)
    await client.tokenRevocation(config, renewed.refresh_token)
    const after = await client.tokenIntrospection(config, renewed.access_token)
    const replayed = await refusal(client.refreshTokenGrant(config, renewed.refresh_token))
    return {
      scope: tokens.scope, claims, nonce, userinfo, status: me.status, before, after, replayed,
      renewed: renewed.access_token !== tokens.access_token
        && renewed.refresh_token !== tokens.refresh_token,
    }
  },

  async native() {
    const config = await configuration(apps.native)
    const redirect_uri = 'http://127.0.0.1:49154/callback'
    const tokens = await signIn(config, { scope: 'pets:read', redirect_uri })
    const path = new URL('/api/v1/me/', server)
    const me = await client.fetchProtectedResource(config, tokens.access_token, path, 'GET')
    return { scope: tokens.scope, status: me.status }
  },

  async refused() {
    const config = await configuration(apps.web)
    return refusal(signIn(config, { scope: 'users:write', what: 'refuse' }))
  },

  async another_issuer() {
    const config = await configuration(apps.web)
    return refusal(signIn(config, { scope: 'pets:read', what: 'agree_elsewhere' }))
  },

  async client_credentials() {
    const { client_secret } = apps.machine
    const scopes = []
    for (const method of [client.ClientSecretBasic, client.ClientSecretPost]) {
      const config = await configuration(apps.machine, method(client_secret))
      scopes.push((await client.clientCredentialsGrant(config, machine)).scope)
    }
    const config = await configuration(apps.machine, client.ClientSecretPost('wrong'))
    return { scopes, wrong: await refusal(client.clientCredentialsGrant(config, machine)) }
  },

  async device() {
    const config = await configuration(apps.device)
    const codes = await client.initiateDeviceAuthorization(config, { scope: 'pets:read' })
    // Faster than it may: it is told to slow down, and does.
    const errors = []
    const { fetch } = globalThis
    config[client.customFetch] = async (...request) => {
      const response = await fetch(...request)
      errors.push((await response.clone().json()).error)
      if (errors.length === 2) {
        await ask('let_device_in', codes.verification_uri_complete)
      }
      return response
    }
    const tokens = await client.pollDeviceAuthorizationGrant(config, { ...codes, interval: 1 })
    return { errors: errors.filter(Boolean), scope: tokens.scope }
  },

  async registration() {
    const metadata = { client_name: 'A stranger', redirect_uris: [callback], scope: 'pets:read' }
    const config = await client.dynamicClientRegistration(issuer, metadata, undefined, options)
    const tokens = await signIn(config, { scope: 'pets:read' })
    const refreshable = tokens.refresh_token !== undefined
    return { client: config.clientMetadata(), scope: tokens.scope, refreshable }
  },

  async resource() {
    const config = await configuration(apps.web)
    const resource = `${server}/api/v1`
    const scope = 'pets:read pets:write'
    const tokens = await signIn(config, { scope, resource })
    const told = await client.tokenIntrospection(config, tokens.access_token)
    const path = new URL('/api/v1/pets/', server)
    const pets = await client.fetchProtectedResource(config, tokens.access_token, path, 'GET')
    const elsewhere = { scope, resource: 'https://elsewhere.example/', what: 'visit' }
    const refused = await refusal(signIn(config, elsewhere))
    return { status: pets.status, aud: told.aud, elsewhere: refused }
  },

  async challenge() {
    const config = await configuration(apps.machine)
    const call = (token, path, method, ...body) =>
      client.fetchProtectedResource(config, token, new URL(path, server), method, ...body)
        .catch((error) => error)
    const unknown = await call('unknown', '/api/v1/me/', 'GET')
    const { access_token } = await client.clientCredentialsGrant(config, machine)
    const body = JSON.stringify({ name: 'Clementine', species: 'cat' })
    const headers = new Headers({ 'content-type': 'application/json' })
    const narrow = await call(access_token, '/api/v1/pets/', 'POST', body, headers)
    return {
      unknown: { status: unknown.status, challenges: unknown.cause },
      narrow: { status: narrow.status, challenges: narrow.cause },
    }
  },

  async silence() {
    const config = await configuration(apps.web)
    const nonce = client.randomNonce()
    const asked = { scope: 'openid users:read', nonce, what: 'visit', prompt: 'none' }
    const first = await refusal(signIn(config, asked))
    const { scope } = await signIn(config, { ...asked, what: 'agree', prompt: 'consent' })
    const silent = await signIn(config, asked)
    return { first, scope, silent: silent.scope }
  },

  async max_age() {
    const config = await configuration(apps.web)
    const asked = { scope: 'openid', nonce: client.randomNonce(), max_age: '3600' }
    const tokens = await signIn(config, asked)
    return { auth_time: tokens.claims().auth_time, now: Math.floor(Date.now() / 1000) }
  },

  async sign_out() {
    const config = await configuration(apps.web)
    const tokens = await signIn(config, { scope: 'openid', nonce: client.randomNonce() })
    const state = client.randomState()
    const address = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye, state,
    })
    return { cameBack: await ask('sign_out', address.href), state }
  },
}

await run(flows)
