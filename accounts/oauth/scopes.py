"""Which scopes an app may ask for, and which it gets unasked."""

from oauth2_provider.scopes import SettingsScopes


class ApplicationScopes(SettingsScopes):
    """An app may ask for the scopes it was registered with, and gets its default when it asks
    for none: never everything."""

    def get_available_scopes(self, application=None, request=None, *args, **kwargs):
        if application is not None and application.scope:
            return application.scope.split()
        return super().get_available_scopes(application, request)

    def get_default_scopes(self, application=None, request=None, *args, **kwargs):
        if application is not None and application.default_scope:
            return application.default_scope.split()
        available = set(self.get_available_scopes(application, request))
        return [scope for scope in super().get_default_scopes() if scope in available]
