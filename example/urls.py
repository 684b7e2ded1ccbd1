from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path
from django.views.generic import RedirectView
from sites import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:rqcron_overview")),
    path("admin/", admin.site.urls),
    # Without DEBUG, runserver leaves these files to a web server, which the demo has not.
    path("static/<path:path>", serve, {"insecure": True}),
    path("ok/", views.ok),
    path("slow/", views.slow),
    path("flaky/", views.flaky),
]
